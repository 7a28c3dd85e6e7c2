package repeats

import (
	"testing"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// A load begins after a change, another change follows, and then the first one is carried out again.
// The load must not be stored.
func TestNoRepeatBringsBackANonce(t *testing.T) {
	for _, first := range changes {
		for _, second := range changes {
			t.Run(first.name+" and "+second.name, func(t *testing.T) {
				redistest.Each(t, func(t *testing.T, s redistest.Server) {
					a, b, c := newNode(t, s), newNode(t, s), newNode(t, s)
					again := a.recording(func() { first.do(t, a, "a's") })
					nonce := c.open(t)
					second.do(t, b, "b's")
					again(t)
					if got := c.fill(t, nonce); got != remote.FenceChanged {
						t.Errorf("a load from before the last change is stored: outcome %d", got)
					}
				})
			})
		}
	}
}

// A load is under way when its key is changed. Then the fence is evicted, and the call that opened
// it is carried out again.
func TestNoRepeatOpensAFenceWithAnOldNonce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		a, b := newNode(t, s), newNode(t, s)
		var nonce string
		again := a.recording(func() { nonce = a.open(t) })
		succeed(t, b.DelFenced(t.Context(), ttl, key))
		b.evictFence(t)
		again(t)
		if got := a.fill(t, nonce); got != remote.FenceChanged {
			t.Errorf("a load from before the change is stored: outcome %d", got)
		}
	})
}
