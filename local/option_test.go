package local_test

import (
	"testing"

	"github.com/mgtv-tech/jetcache-go/local"
)

// That this compiles is what the type is for.
func TestOptionCanBeNamed(t *testing.T) {
	var opts []local.Option
	store := func(opts ...local.Option) int { return len(opts) }
	if n := store(append(opts, nil)...); n != 1 {
		t.Errorf("passed on %d options", n)
	}
}
