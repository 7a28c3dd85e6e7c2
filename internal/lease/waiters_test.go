package lease

import (
	"fmt"
	"sync"
	"testing"
)

// woken reports whether a channel has an element, and takes it.
func woken(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestWakeWakesTheCallsThatWaitForItsKeys(t *testing.T) {
	var w waiters
	w.Wake([]string{"a"}) // nobody waits
	a, stopA := w.await([]string{"a"})
	ab, stopAB := w.await([]string{"a", "b"})
	c, stopC := w.await([]string{"c"})
	w.Wake([]string{"a", "b", "a", "x"})
	w.Wake([]string{"a"})
	if !woken(a) || !woken(ab) || woken(c) {
		t.Error("the wrong calls were woken")
	}
	if woken(a) || woken(ab) {
		t.Error("a call was woken twice before it asked again")
	}
	w.Wake([]string{"b"})
	if woken(a) || !woken(ab) {
		t.Error("the wrong calls were woken by b")
	}
	stopA()
	w.Wake([]string{"a"})
	if woken(a) || !woken(ab) {
		t.Error("a call that does not wait any more was woken, or the other was not")
	}
	stopAB()
	stopC()
	if len(w.byKey) != 0 {
		t.Errorf("when nobody waits, %d keys are remembered", len(w.byKey))
	}
}

func TestCallsWaitAndWakeConcurrently(t *testing.T) {
	var w waiters
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				keys := []string{fmt.Sprint(i % 3), fmt.Sprint(j % 5)} // which may be the same
				ch, stop := w.await(keys)
				w.Wake(keys[:1])
				<-ch // perhaps woken by another call
				stop()
			}
		})
	}
	wg.Wait()
	if len(w.byKey) != 0 {
		t.Errorf("when nobody waits, %d keys are remembered", len(w.byKey))
	}
}
