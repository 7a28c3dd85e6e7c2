package local_test

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/local/localtest"
)

func newTinyLFU(t *testing.T, size int, ttl time.Duration) *local.TinyLFU {
	t.Helper()
	s := local.NewTinyLFU(size, ttl)
	t.Cleanup(s.Close)
	return s
}

func TestTinyLFU(t *testing.T) {
	for name, ttl := range map[string]time.Duration{"ttl": time.Hour, "no expiry": 0} {
		t.Run(name, func(t *testing.T) {
			localtest.Run(t, func(t *testing.T) local.Local { return newTinyLFU(t, 1500, ttl) })
		})
	}
}

func TestTinyLFUHoldsAsManyAsItSays(t *testing.T) {
	const size = 1000
	s := newTinyLFU(t, size, time.Hour)
	for i := range 5 * size {
		s.Set(strconv.Itoa(i), []byte("v"))
	}
	if held := held(s, 5*size); held < size*95/100 || held > size {
		t.Errorf("a store for %d entries holds %d", size, held)
	}
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestTinyLFUMemoryFollowsItsSize(t *testing.T) {
	before := heap()
	s := newTinyLFU(t, 1000, time.Hour)
	if got := int64(heap() - before); got >= 1<<20 {
		t.Errorf("an empty store for 1,000 entries takes %d bytes, want below 1 MiB", got)
	}
	runtime.KeepAlive(s)
}

func TestTinyLFUExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTinyLFU(t, 10, time.Minute)
		s.Set("k", []byte("v"))
		time.Sleep(time.Minute - time.Millisecond)
		if _, ok := s.Get("k"); !ok {
			t.Error("the entry is gone before its TTL")
		}
		time.Sleep(7 * time.Second) // the jitter is 6s at most
		if _, ok := s.Get("k"); ok {
			t.Error("the entry is there after its TTL and jitter")
		}
	})
}

func TestTinyLFUAfterClose(t *testing.T) {
	s := local.NewTinyLFU(10, time.Minute)
	s.Set("k", []byte("v"))
	s.Close()
	s.Close()
	s.Set("k", []byte("v"))
	s.SetWithTTL("k", []byte("v"), time.Minute)
	s.Del("k")
	if _, ok := s.Get("k"); ok {
		t.Error("a closed store holds an entry")
	}
}

func TestTinyLFUCloseWhileInUse(t *testing.T) {
	for range 20 {
		s := local.NewTinyLFU(100, time.Minute)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 200 {
					key := strconv.Itoa(i % 10)
					s.Set(key, []byte("v"))
					s.Get(key)
					if g == 0 {
						s.Del(key)
					}
				}
			})
		}
		wg.Go(s.Close)
		wg.Wait()
	}
}

func TestTinyLFUDroppedWithoutCloseEndsItsGoroutines(t *testing.T) {
	func() {
		s := local.NewTinyLFU(10, time.Minute)
		s.Set("k", []byte("v"))
	}()
	stacks := make([]byte, 1<<20)
	for i := 0; ; i++ {
		runtime.GC()
		text := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(text, "processItems") {
			return
		}
		if i == 1000 {
			t.Fatalf("goroutines are left:\n%s", text)
		}
		runtime.Gosched()
	}
}

// An admission filter that knows only frequencies would refuse the new keys. A store with a window
// answers most of these reads.
func TestTinyLFUKeepsWhatIsNew(t *testing.T) {
	s := newTinyLFU(t, 100, time.Hour)
	for i := range 100 { // fill it with keys that are read often
		for range 20 {
			s.Set("often"+strconv.Itoa(i), []byte("v"))
			s.Get("often" + strconv.Itoa(i))
		}
	}
	reads, hits := 0, 0
	for i := range 1000 {
		s.Set("new"+strconv.Itoa(i), []byte("v"))
		for back := range min(i+1, 20) { // the last twenty
			reads++
			if _, ok := s.Get("new" + strconv.Itoa(i-back)); ok {
				hits++
			}
		}
	}
	if hits < reads*9/10 {
		t.Errorf("of %d reads of new keys %d were hits", reads, hits)
	}
}

// An entry that moves from the window to the main store can be read all the time, and is the newest.
func TestTinyLFUWhileEntriesMove(t *testing.T) {
	s := newTinyLFU(t, 50, time.Hour)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				key := strconv.Itoa(g) + "." + strconv.Itoa(i%20)
				want := strconv.Itoa(i)
				s.Set(key, []byte(want))
				if v, ok := s.Get(key); ok && string(v) != want {
					t.Errorf("%s is %q after its Set to %s", key, v, want)
				}
				if i%7 == 0 {
					s.Del(key)
					if v, ok := s.Get(key); ok {
						t.Errorf("%s is %q after its Del", key, v)
					}
				}
			}
		})
	}
	wg.Wait()
}

// A key can be read right after its Set, however often the other keys are read.
func TestTinyLFUHasWhatWasJustSet(t *testing.T) {
	for _, size := range []int{1, 2, 3, 10, 100, 1000} {
		s := newTinyLFU(t, size, time.Hour)
		for range 20 {
			for i := range 2 * size {
				s.Set("hot"+strconv.Itoa(i), []byte("v"))
				s.Get("hot" + strconv.Itoa(i))
			}
		}
		for i := range 50 {
			for j := range 2 * size {
				s.Get("hot" + strconv.Itoa(j))
			}
			key := "new" + strconv.Itoa(i)
			s.Set(key, []byte(key))
			if v, ok := s.Get(key); !ok || string(v) != key {
				t.Fatalf("size %d: %s is %q, %v right after its Set", size, key, v, ok)
			}
		}
	}
}
