//go:build !linux

package redistest

import "syscall"

// dieWithParent does nothing: only Linux ends a process with its parent.
func dieWithParent() *syscall.SysProcAttr { return nil }
