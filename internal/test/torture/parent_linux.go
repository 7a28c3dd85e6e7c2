package torture

import "syscall"

// endWithParent ends a node with the driver also if it is stopped, and so does not notice that
// its standard input has ended.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
