package coherence

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOwnWritesKnowTheNewestValueOfAKey(t *testing.T) {
	w := newOwnWrites()
	if w.has("k") || w.is("k", nil) {
		t.Error("it knows what was never written")
	}
	w.note("k", []byte("1"))
	w.note("k", []byte("2"))
	w.note("empty", nil)
	if !w.has("k") || !w.is("k", []byte("2")) || w.is("k", []byte("1")) {
		t.Error("it does not know the newest value")
	}
	if !w.is("empty", []byte{}) {
		t.Error("it does not know an empty value")
	}
	w.forget("k")
	if w.has("k") || w.is("k", []byte("2")) || !w.has("empty") {
		t.Error("it has not forgotten the key, or more than that")
	}
}

// A write is remembered for echoTime at least, and for not much longer.
func TestOwnWritesAreForgotten(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration // between two writes of other keys; zero for none
	}{{"while others are written", time.Second}, {"while nothing is written", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, at := range []time.Duration{0, time.Second, echoTime - 1, echoTime, 2*echoTime - 1} {
					w := newOwnWrites()
					time.Sleep(at) // the age of what is written first
					w.note("k", []byte("v"))
					began := time.Now()
					for i := 0; time.Since(began) < echoTime; i++ {
						if !w.is("k", []byte("v")) || !w.has("k") {
							t.Fatalf("at %s it was forgotten after %s", at, time.Since(began))
						}
						time.Sleep(time.Second)
						if tt.pause > 0 {
							w.note(fmt.Sprint(i), nil)
						}
					}
					time.Sleep(3 * echoTime)
					w.note("another", nil)
					if w.has("k") {
						t.Errorf("at %s it is remembered after %s", at, time.Since(began))
					}
				}
			})
		})
	}
}

// A node that has not written for long asks the remote about no change of another.
func TestAnOldWriteIsNoEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOwnWrites()
		w.note("k", []byte("v"))
		time.Sleep(time.Hour)
		if w.has("k") {
			t.Error("a change of another node after an hour counts as an echo")
		}
		if len(w.sums)+len(w.older) > 0 {
			t.Error("it has not forgotten the write")
		}
	})
}

// After a turn, only the newest value of a key counts.
func TestATurnDoesNotBringBackAnOlderValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOwnWrites()
		w.note("k", []byte("1"))
		time.Sleep(echoTime + 1)
		w.note("k", []byte("2"))
		w.forget("k")
		if w.has("k") {
			t.Error("the older write has come back")
		}
		w.note("j", []byte("1"))
		time.Sleep(echoTime + 1)
		w.note("other", nil) // j is among the older ones now
		if !w.has("j") {
			t.Fatal("j is forgotten")
		}
		w.forget("j")
		if w.has("j") {
			t.Error("an older write cannot be forgotten")
		}
	})
}

func TestOwnWritesAreBounded(t *testing.T) {
	w := newOwnWrites()
	for i := range 3 * maxOwnWrites {
		w.note(fmt.Sprint(i), nil)
	}
	if n := len(w.sums) + len(w.older); n > 2*maxOwnWrites {
		t.Errorf("it remembers %d writes", n)
	}
	if !w.has(fmt.Sprint(3*maxOwnWrites - 1)) {
		t.Error("it has forgotten the newest write")
	}
}

func TestOwnWritesAreSafeForConcurrentUse(t *testing.T) {
	w := newOwnWrites()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprint(i)
			for range 200 {
				w.note(key, []byte(key))
				if !w.has(key) || !w.is(key, []byte(key)) {
					t.Errorf("%s is forgotten", key)
				}
				w.forget(key)
			}
		})
	}
	wg.Wait()
}
