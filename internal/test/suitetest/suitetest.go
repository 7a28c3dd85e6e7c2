// Package suitetest runs the public conformance suites. A suite is a list of checks that every
// implementation of an interface must pass. A check returns an error and does not fail a test, so
// that a suite can itself be tested with broken implementations.
package suitetest

import (
	"fmt"
	"runtime/debug"
	"testing"
)

// Check is one property of an implementation.
type Check[T any] struct {
	Name string
	// Verify returns nil if impl has the property. impl was made for this check.
	Verify func(impl T) error
}

// Run verifies each check in a subtest of its own, with an implementation that create returns for it.
// create may register cleanups with t.
func Run[T any](t *testing.T, checks []Check[T], create func(t *testing.T) T) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) {
			if err := verify(c, create(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Verify verifies the check with this name, with impl. It is for tests of a suite: a broken impl
// must get an error.
func Verify[T any](checks []Check[T], name string, impl T) error {
	for _, c := range checks {
		if c.Name == name {
			return verify(c, impl)
		}
	}
	panic("suitetest: no check is named " + name)
}

// verify runs one check. A panic of the check becomes its error.
func verify[T any](c Check[T], impl T) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return c.Verify(impl)
}
