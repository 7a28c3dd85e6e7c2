package torture

import "syscall"

// endWithParent makes the system end a node with the driver. A node that is stopped would not
// notice that its standard input has ended.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
