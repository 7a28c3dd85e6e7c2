package redistest

import "syscall"

// dieWithParent ends a server with the program of the tests where that cannot clean up,
// as when go test ends it after its timeout.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
