// Package util has small helpers that programs use beside a cache. Its functions may be called
// by any number of goroutines at the same time.
package util
