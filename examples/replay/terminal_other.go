//go:build !darwin && !freebsd && !linux && !netbsd

package main

import "os"

// terminalWidth reports that f is not a terminal whose line can be rewritten: how to ask for its
// width differs between systems.
func terminalWidth(*os.File) (columns int, ok bool) { return 0, false }
