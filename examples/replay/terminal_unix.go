//go:build darwin || freebsd || linux || netbsd

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// terminalWidth returns how many columns the terminal f has, and false if f is not a terminal
// whose line can be rewritten.
func terminalWidth(f *os.File) (columns int, ok bool) {
	if os.Getenv("TERM") == "dumb" {
		return 0, false
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	var size struct{ rows, columns, x, y uint16 }
	err = conn.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		ok = errno == 0
	})
	if err != nil || !ok {
		return 0, false
	}
	if size.columns == 0 { // the terminal does not know
		return defaultWidth, true
	}
	return int(size.columns), true
}
