package throttle

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// held returns how long key is held from now on, to the millisecond.
func held(s *Set, key string) (d time.Duration) {
	for s.Holds(key) {
		time.Sleep(time.Millisecond)
		d += time.Millisecond
	}
	return d
}

func TestAKeyIsHeldForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		if s.Holds("k") {
			t.Error("an empty set holds a key")
		}
		for range 20 {
			s.Hold("k", time.Second, time.Second)
			s.Hold("k", time.Hour, time.Hour) // of a caller that failed together with the first
			if s.Holds("other") {
				t.Error("another key is held")
			}
			if d := held(&s, "k"); d < time.Second || d > 1200*time.Millisecond {
				t.Errorf("held for %s", d)
			}
		}
	})
}

func TestThePausesGrowUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		expect := func(want time.Duration) {
			t.Helper()
			s.Hold("k", time.Second, 5*time.Second)
			if d := held(&s, "k"); d < want || d > want*6/5 {
				t.Errorf("held for %s, want %s and up to a fifth more", d, want)
			}
		}
		for _, want := range []int{1, 2, 4, 5, 5} {
			expect(time.Duration(want) * time.Second)
		}
		s.Forget("k")
		expect(time.Second)
		time.Sleep(time.Second) // the last failure was long ago
		expect(time.Second)
	})
}

func TestTheKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		for i := range maxKeys {
			s.Hold(fmt.Sprint(i), time.Second, time.Second)
		}
		s.Hold("more", time.Second, time.Second)
		if s.Holds("more") || !s.Holds("0") {
			t.Error("there is a place for more")
		}
		time.Sleep(3 * time.Second)
		s.Hold("more", time.Second, time.Second)
		if !s.Holds("more") || len(s.keys) != 1 {
			t.Errorf("%d keys are left", len(s.keys))
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	var s Set
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				key := fmt.Sprint(i % 10)
				s.Hold(key, time.Millisecond, time.Second)
				s.Holds(key)
				s.Forget(key)
			}
		})
	}
	wg.Wait()
}
