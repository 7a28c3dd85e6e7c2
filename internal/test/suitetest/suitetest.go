// Package suitetest runs the public conformance suites: lists of checks that any
// implementation of an interface has to pass. The checks return errors instead of
// failing a test, so that a suite can itself be tested with broken implementations.
package suitetest

import (
	"fmt"
	"runtime/debug"
	"testing"
)

// Check is one property of an implementation.
type Check[T any] struct {
	Name string
	// Verify returns nil if the implementation, made anew for this check, has the
	// property.
	Verify func(impl T) error
}

// Run verifies each check as a subtest, on an implementation that make returns for
// it. make may register what is to be cleaned up after the subtest.
func Run[T any](t *testing.T, checks []Check[T], make func(t *testing.T) T) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) {
			if err := verify(c, make(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Verify verifies the one check that has the name, on impl. It is for testing a
// suite with a broken implementation, which should get an error.
func Verify[T any](checks []Check[T], name string, impl T) error {
	for _, c := range checks {
		if c.Name == name {
			return verify(c, impl)
		}
	}
	panic("suitetest: no check is named " + name)
}

// verify runs one check; a panic fails it.
func verify[T any](c Check[T], impl T) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return c.Verify(impl)
}
