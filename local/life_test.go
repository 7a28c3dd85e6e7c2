package local

import (
	"math"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// keeping is what the tests of this file use of a store.
type keeping interface {
	Local
	StaleKeeper
	Dated
	UseRandomizedTTL(offset time.Duration)
}

// keepers returns a store of each kind with this TTL, without jitter. They end with t.
func keepers(t *testing.T, ttl time.Duration) map[string]keeping {
	otter, tinyLFU := NewOtter(100, ttl), NewTinyLFU(100, ttl)
	t.Cleanup(otter.Close)
	t.Cleanup(tinyLFU.Close)
	stores := map[string]keeping{"Otter": otter, "TinyLFU": tinyLFU, "FreeCache": NewArena(MB).NewFreeCache(ttl)}
	for _, s := range stores {
		s.UseRandomizedTTL(0)
	}
	return stores
}

// left returns what is left of the fresh time of "k", and whether Get returns it.
func left(t *testing.T, s keeping) (d time.Duration, there, readable bool) {
	t.Helper()
	_, readable = s.Get("k")
	l, there := s.GetWithLife("k")
	return l.Left, there, readable
}

func TestTheTTLOfTheStoreShortensALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range keepers(t, 10*time.Second) {
			for _, ttl := range []time.Duration{0, 10 * time.Second, time.Hour, math.MaxInt64} {
				s.SetWithLife("k", []byte("v"), Life{TTL: ttl, Early: time.Second, Stale: 5 * time.Second})
				time.Sleep(9*time.Second - time.Millisecond)
				if l, there, readable := left(t, s); (l-1001*time.Millisecond).Abs() > 1 || !there || !readable {
					t.Errorf("%s, %s: fresh: %s left, there %v, readable %v", name, ttl, l, there, readable)
				}
				time.Sleep(time.Millisecond)
				if l, there, readable := left(t, s); (l-time.Second).Abs() > 1 || !there || readable {
					t.Errorf("%s, %s: early: %s left, there %v, readable %v", name, ttl, l, there, readable)
				}
				time.Sleep(6*time.Second - time.Millisecond)
				if l, there, readable := left(t, s); (l+4999*time.Millisecond).Abs() > 1 || !there || readable {
					t.Errorf("%s, %s: stale: %s left, there %v, readable %v", name, ttl, l, there, readable)
				}
				time.Sleep(time.Millisecond)
				if l, there, readable := left(t, s); there || readable {
					t.Errorf("%s, %s: gone: %s left, there %v, readable %v", name, ttl, l, there, readable)
				}
			}
		}
	})
}

func TestAnEntryThatDoesNotExpireIsNeverStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range keepers(t, 0) {
			s.SetWithLife("k", []byte("v"), Life{Early: time.Second, Stale: time.Second, Loaded: time.Now().Add(-time.Hour)})
			time.Sleep(20 * time.Minute)
			if l, there, readable := left(t, s); l != math.MaxInt64 || !there || !readable {
				t.Errorf("%s: %s left, there %v, readable %v", name, l, there, readable)
			}
			if l, _ := s.GetWithLife("k"); l.Age != 80*time.Minute {
				t.Errorf("%s: the value is %s old", name, l.Age)
			}
		}
	})
}

func TestTimesOutOfRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range keepers(t, 0) {
			// negative times are none, and a value cannot have been loaded in the future
			s.SetWithLife("k", []byte("v"), Life{TTL: time.Second, Early: -time.Hour, Stale: -time.Hour, Loaded: time.Now().Add(time.Hour)})
			if l, ok := s.GetWithLife("k"); !ok || l.Age != 0 || (l.Left-time.Second).Abs() > 1 {
				t.Errorf("%s: %+v, %v", name, l, ok)
			}
			time.Sleep(time.Second)
			if l, ok := s.GetWithLife("k"); ok {
				t.Errorf("%s: at its end: %+v", name, l)
			}
			s.SetWithLife("k", []byte("v"), Life{})
			s.SetWithLife("k", []byte("v"), Life{TTL: -1, Stale: time.Hour})
			if _, ok := s.GetWithLife("k"); ok {
				t.Errorf("%s: a TTL below zero does not remove the entry", name)
			}
		}
	})
}

func TestTheLongestTimes(t *testing.T) {
	var l lifetime
	l.init("", 0, newClock())
	got := l.timesOfLife(Life{TTL: 1 << 60, Early: math.MaxInt64, Stale: math.MaxInt64, Loaded: time.Unix(-1<<40, 0)})
	const most = math.MaxUint32 * time.Millisecond // some 49 days
	if got.fresh()-got.until != int64(most) || got.end()-got.fresh() != int64(most) {
		t.Errorf("%+v, want %s of early and of stale time", got, most)
	}
	if lived, ok := got.lived(l.now()); !ok || lived.Age < 100*365*24*time.Hour {
		t.Errorf("a value of very long ago: %+v, %v", lived, ok)
	}
	if got := l.timesOfLife(Life{TTL: math.MaxInt64 - 1, Early: 1 << 60, Stale: 1 << 60}); got.end() < got.until || !got.plain() && got.end() < got.fresh() {
		t.Errorf("the longest TTL: %+v", got)
	}
}

func TestEntriesOfSetHaveALifeWithoutAStaleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range keepers(t, time.Minute) {
			s.Set("k", []byte("v"))
			time.Sleep(20 * time.Second)
			age := 20 * time.Second
			if name == "FreeCache" {
				age = 0 // it does not know it
			}
			if l, ok := s.GetWithLife("k"); !ok || (l.Left-40*time.Second).Abs() > 1 || l.Age != age || (l.Entry == nil) != (name == "FreeCache") {
				t.Errorf("%s: %+v, %v", name, l, ok)
			}
			time.Sleep(40 * time.Second)
			if l, ok := s.GetWithLife("k"); ok {
				t.Errorf("%s: at its end: %+v", name, l)
			}
		}
	})
}

// Stale entries are evicted as others are, in the window and in the main store of a TinyLFU, too.
func TestStaleEntriesAreEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range keepers(t, time.Minute) {
			if name == "FreeCache" {
				continue // its arena has room
			}
			for i := range 1000 {
				s.SetWithLife(strconv.Itoa(i), []byte("v"), Life{TTL: time.Second, Stale: time.Hour})
			}
			time.Sleep(2 * time.Second)
			held := 0
			for i := range 1000 {
				if _, ok := s.GetWithLife(strconv.Itoa(i)); ok {
					held++
				}
				if _, ok := s.Get(strconv.Itoa(i)); ok {
					t.Errorf("%s: %d can be read after its TTL", name, i)
				}
			}
			if held < 90 || held > 100 {
				t.Errorf("%s for 100 entries holds %d stale ones", name, held)
			}
		}
	})
}

func TestNoneBeforeCountsTheStaleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range keepers(t, time.Minute) {
			s.SetWithLife("k", []byte("v"), Life{Stale: time.Hour})
			s.SetWithLife("l", []byte("v"), Life{Stale: time.Second})
			time.Sleep(2 * time.Hour)
			// the default jitter is 6s
			if got, want := time.Since(s.NoneBefore()), time.Hour+time.Minute+6*time.Second; got != want {
				t.Errorf("%s: none before %s ago, want %s", name, got, want)
			}
		}
	})
}

func TestClosedStoresHaveNoLives(t *testing.T) {
	otter, tinyLFU := NewOtter(10, time.Minute), NewTinyLFU(10, time.Minute)
	for _, s := range []interface {
		keeping
		Close()
	}{otter, tinyLFU} {
		s.SetWithLife("k", []byte("v"), Life{})
		s.Close()
		s.SetWithLife("k", []byte("v"), Life{})
		if _, ok := s.GetWithLife("k"); ok {
			t.Errorf("a closed %T has an entry", s)
		}
	}
}

// Entries that nobody reads leave the memory soon after their end.
func TestOtterRemovesWhatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewOtter(1000, time.Minute)
		defer s.Close()
		for i := range 500 {
			key := strconv.Itoa(i)
			if i%2 == 0 {
				s.SetWithTTL(key, []byte("v"), 10*time.Second)
			} else {
				s.SetWithLife(key, []byte("v"), Life{TTL: 10 * time.Second, Stale: 20 * time.Second})
			}
		}
		for _, step := range []struct {
			sleep time.Duration
			want  int
		}{{9 * time.Second, 500}, {4 * time.Second, 250}, {16 * time.Second, 250}, {4 * time.Second, 0}} {
			time.Sleep(step.sleep)
			synctest.Wait()
			if got := s.store.EstimatedSize(); got != step.want {
				t.Errorf("%s later, otter has %d entries, want %d", step.sleep, got, step.want)
			}
		}
	})
}

// The life is that of the replaced entry, also if nobody has called Become.
func TestOtterReplaceEntryKeepsTheLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewOtter(10, time.Minute)
		defer s.Close()
		s.SetWithLife("k", []byte("v"), Life{TTL: 10 * time.Second, Early: 2 * time.Second, Stale: 5 * time.Second})
		old, _ := s.GetEntry("k")
		if !s.ReplaceEntry("k", old, NewEntry([]byte("v"))) {
			t.Fatal("the entry is not replaced")
		}
		time.Sleep(7 * time.Second)
		if l, there, readable := left(t, s); l != 3*time.Second || !there || !readable {
			t.Errorf("%s left, there %v, readable %v", l, there, readable)
		}
		time.Sleep(8*time.Second - time.Millisecond)
		if l, there, readable := left(t, s); l != -4999*time.Millisecond || !there || readable {
			t.Errorf("%s left, there %v, readable %v", l, there, readable)
		}
	})
}

// An entry with a somewhat earlier end than the one before it is written in place, and ends on time.
func TestOtterRemovesARewrittenEntrySoonAfterItsEnd(t *testing.T) {
	for was, want := range map[time.Duration]time.Duration{
		8 * time.Second: 10 * time.Second, 11 * time.Second: 11 * time.Second, 12 * time.Second: 10 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := NewOtter(10, time.Minute)
			defer s.Close()
			s.SetWithTTL("k", []byte("old"), was)
			s.SetWithTTL("k", []byte("v"), 10*time.Second)
			if e, ok := s.store.GetEntryQuietly("k"); !ok || e.ExpiresAfter() != want {
				t.Errorf("otter removes an entry for 10s after one for %s in %s, want %s", was, e.ExpiresAfter(), want)
			}
			time.Sleep(10*time.Second - time.Millisecond)
			if _, ok := s.Get("k"); !ok {
				t.Error("the entry is gone before its end")
			}
			time.Sleep(time.Millisecond)
			if _, ok := s.GetWithLife("k"); ok {
				t.Error("the entry is there at its end")
			}
		})
	}
}

// Otter's own clock is that of the last tick, and it must never remove what can still be read.
func TestOtterIsExactBetweenTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewOtter(1000, time.Hour)
		defer s.Close()
		for i := range 50 {
			time.Sleep(time.Duration(i) * 37 * time.Millisecond)
			ttl := time.Duration(i+1) * 61 * time.Millisecond
			s.SetWithTTL("k", []byte("long"), time.Hour)
			s.SetWithTTL("k", []byte("v"), ttl)
			time.Sleep(ttl - 1)
			if _, ok := s.Get("k"); !ok {
				t.Fatalf("%s: the entry is gone before its end", ttl)
			}
			time.Sleep(time.Nanosecond)
			if _, ok := s.Get("k"); ok {
				t.Fatalf("%s: the entry is there at its end", ttl)
			}
		}
	})
}

func TestTheTicksEndWithTheirClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &otterClock{exact: newClock()}
		ticks := c.Tick(time.Second)
		for i := range 3 {
			<-ticks
			if got := time.Duration(c.NowNano()); got != time.Duration(i+1)*time.Second {
				t.Errorf("tick %d is at %s", i, got)
			}
		}
		time.Sleep(5 * time.Second) // nobody takes the ticks
		c.stop()
		<-ticks
		if _, open := <-ticks; open {
			t.Error("a stopped clock ticks")
		}
		dropped := (&otterClock{exact: newClock()}).Tick(time.Second)
		runtime.GC()
		if _, open := <-dropped; open {
			t.Error("a clock that nobody has ticks")
		}
	})
}

func TestAnEntryTakes48Bytes(t *testing.T) {
	if got := unsafe.Sizeof(Entry{}); got > 48 {
		t.Errorf("an Entry takes %d bytes", got)
	}
}

func TestOtterHitsDoNotAllocate(t *testing.T) {
	s := keepers(t, time.Hour)["Otter"]
	for _, life := range []Life{{}, {Stale: time.Hour, Early: time.Minute}} {
		s.SetWithLife("k", []byte("v"), life)
		allocs := testing.AllocsPerRun(100, func() {
			_, hit := s.Get("k")
			if _, lived := s.GetWithLife("k"); !hit || !lived {
				t.Error("a miss")
			}
		})
		if allocs != 0 {
			t.Errorf("%+v: a hit allocates %v times", life, allocs)
		}
	}
}
