//go:build unix

package torture

import (
	"os"
	"syscall"
)

// canStop says that processes can be stopped and resumed here.
const canStop = true

func stopProcess(p *os.Process) error   { return p.Signal(syscall.SIGSTOP) }
func resumeProcess(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
