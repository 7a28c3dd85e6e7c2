package redistest

import "syscall"

// dieWithParent makes the system end a server with the test program, for the cases in which the
// program cannot clean up, such as a timeout of go test.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
