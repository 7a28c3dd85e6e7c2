package util

import (
	"runtime/debug"

	"github.com/mgtv-tech/jetcache-go/logger"
)

// WithRecover calls fn and returns when fn has returned or panicked. It recovers a panic and
// logs it at error level (package logger) with its stack, so that it does not end the process.
// A nil fn is such a panic.
//
//	go util.WithRecover(func() { … })
func WithRecover(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			logger.Error("util: a function called by WithRecover panicked: %v\n%s", v, debug.Stack())
		}
	}()
	fn()
}
