package coherence

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// eternal is data that does not expire, in the answer of a remote.
func eternal(data []byte) *record.Got { return &record.Got{Data: data, Asked: time.Now()} }

func TestOwnWritesKnowTheNewestValueOfAKey(t *testing.T) {
	w := newOwnWrites()
	if w.has("k") || w.is("k", eternal(nil)) {
		t.Error("it knows what was never written")
	}
	w.note("k", []byte("1"), 0)
	w.note("k", []byte("2"), 0)
	w.note("empty", nil, 0)
	if !w.has("k") || !w.is("k", eternal([]byte("2"))) || w.is("k", eternal([]byte("1"))) {
		t.Error("it does not know the newest value")
	}
	if !w.is("empty", eternal([]byte{})) {
		t.Error("it does not know an empty value")
	}
	w.forget("k")
	if w.has("k") || w.is("k", eternal([]byte("2"))) || !w.has("empty") {
		t.Error("it has not forgotten the key, or more than that")
	}
}

// What is left of the lifetime of an own write is what has not passed since, give or take lifeSlack.
// The remote stored the value at an unknown moment since the write was noted.
func TestOwnWritesKnowTheirLifetimes(t *testing.T) {
	const passed = 3 * time.Second
	for name, tt := range map[string]struct {
		life, left time.Duration
		own        bool
	}{
		"stored at once":                 {time.Hour, time.Hour - passed, true},
		"stored just now":                {time.Hour, time.Hour, true},
		"stored in between":              {time.Hour, time.Hour - time.Second, true},
		"the remote's clock is fast":     {time.Hour, time.Hour - passed - lifeSlack, true},
		"a little shorter than that":     {time.Hour, time.Hour - passed - lifeSlack - 1, false},
		"much shorter":                   {time.Hour, time.Minute, false},
		"rounded up to whole time units": {time.Hour - 999*time.Microsecond, time.Hour, true},
		"the remote's clock is slow":     {time.Hour, time.Hour + lifeSlack, true},
		"a little longer than that":      {time.Hour, time.Hour + lifeSlack + 1, false},
		"much longer":                    {time.Hour, 2 * time.Hour, false},
		"it does not expire":             {0, 0, true},
		"it was to expire, and does not": {time.Hour, 0, false},
		"it was not to expire, and does": {0, time.Hour, false},
		"shorter than what has passed":   {time.Second, time.Millisecond, true},
		"the longest lifetime":           {math.MaxInt64, math.MaxInt64 - passed, true},
		"a jittered lifetime of its own": {61234567 * time.Microsecond, 58235 * time.Millisecond, true},
		"another node's jittered one":    {61234567 * time.Microsecond, 57 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newOwnWrites()
				time.Sleep(time.Second)
				w.note("k", []byte("v"), tt.life)
				time.Sleep(passed)
				got := &record.Got{Data: []byte("v"), TTL: tt.left, Asked: time.Now()}
				if own := w.is("k", got); own != tt.own {
					t.Errorf("of %s, %s are left: it is an own write: %t", tt.life, tt.left, own)
				}
				if got.Assumed = true; !w.is("k", got) {
					t.Error("a lifetime that the remote did not tell counts")
				}
				if got.Data = []byte("other"); w.is("k", got) {
					t.Error("the value does not count")
				}
			})
		})
	}
}

// A process that is stopped after it has written notices a foreign lifetime as well as any other. If
// it is stopped while it asks, the answer says too little.
func TestAStoppedProcessKnowsForeignLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = time.Hour
		w := newOwnWrites()
		w.note("k", []byte("v"), life)
		time.Sleep(echoTime)
		answer := func(left, took time.Duration) bool {
			got := &record.Got{Data: []byte("v"), TTL: left, Asked: time.Now()}
			time.Sleep(took)
			return w.is("k", got)
		}
		if !answer(life-echoTime, 0) {
			t.Error("its own lifetime is a foreign one after a stop")
		}
		if answer(life-echoTime-2*lifeSlack, 0) {
			t.Error("a foreign lifetime is its own one after a stop")
		}
		if !answer(life-echoTime, time.Second) {
			t.Error("its own lifetime is a foreign one when the answer is slow")
		}
		if answer(life-echoTime-time.Second, compareTimeout+1) {
			t.Error("it trusts an answer that took too long")
		}
	})
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
					w.note("k", []byte("v"), 0)
					began := time.Now()
					for i := 0; time.Since(began) < echoTime; i++ {
						if !w.is("k", eternal([]byte("v"))) || !w.has("k") {
							t.Fatalf("at %s it was forgotten after %s", at, time.Since(began))
						}
						time.Sleep(time.Second)
						if tt.pause > 0 {
							w.note(fmt.Sprint(i), nil, 0)
						}
					}
					time.Sleep(3 * echoTime)
					w.note("another", nil, 0)
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
		w.note("k", []byte("v"), 0)
		time.Sleep(time.Hour)
		if w.has("k") {
			t.Error("a change of another node after an hour counts as an echo")
		}
		if len(w.newer)+len(w.older) > 0 {
			t.Error("it has not forgotten the write")
		}
	})
}

// After a turn, only the newest value of a key counts.
func TestATurnDoesNotBringBackAnOlderValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOwnWrites()
		w.note("k", []byte("1"), 0)
		time.Sleep(echoTime + 1)
		w.note("k", []byte("2"), 0)
		w.forget("k")
		if w.has("k") {
			t.Error("the older write has come back")
		}
		w.note("j", []byte("1"), 0)
		time.Sleep(echoTime + 1)
		w.note("other", nil, 0) // j is among the older ones now
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
		w.note(fmt.Sprint(i), nil, 0)
	}
	if n := len(w.newer) + len(w.older); n > 2*maxOwnWrites {
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
				w.note(key, []byte(key), 0)
				if !w.has(key) || !w.is(key, eternal([]byte(key))) {
					t.Errorf("%s is forgotten", key)
				}
				w.forget(key)
			}
		})
	}
	wg.Wait()
}
