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

func TestOtter(t *testing.T) {
	for name, create := range map[string]func() *local.Otter{
		"ttl":       func() *local.Otter { return local.NewOtter(1500, time.Hour) },
		"no expiry": func() *local.Otter { return local.NewOtter(1500, 0) },
		"bytes":     func() *local.Otter { return local.NewOtterBytes(local.MB, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			localtest.Run(t, func(t *testing.T) local.Local {
				s := create()
				t.Cleanup(s.Close)
				return s
			})
		})
	}
}

func TestOtterHoldsAsManyAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1000
		s := local.NewOtter(size, time.Hour)
		defer s.Close()
		for i := range 5 * size {
			s.Set(strconv.Itoa(i), []byte("v"))
		}
		synctest.Wait() // for the eviction
		if held := held(s, 5*size); held < size*95/100 || held > size {
			t.Errorf("a store for %d entries holds %d", size, held)
		}
	})
}

func TestOtterBytesHoldsAsMuchAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = local.MB
		s := local.NewOtterBytes(size, time.Hour)
		defer s.Close()
		value := make([]byte, 1000)
		for i := range 5000 {
			s.Set(strconv.Itoa(i), value)
		}
		synctest.Wait()
		if held := held(s, 5000); held < 800 || held > 1000 { // each takes some 1,160 bytes
			t.Errorf("a store for 1 MiB holds %d values of 1,000 bytes", held)
		}
		s.Set("large", make([]byte, 2*size))
		synctest.Wait()
		if _, ok := s.Get("large"); ok {
			t.Error("an entry that is larger than the store is kept")
		}
	})
}

// held returns how many of the keys 0 to n-1 the store has.
func held(s local.Local, n int) (held int) {
	for i := range n {
		if _, ok := s.Get(strconv.Itoa(i)); ok {
			held++
		}
	}
	return held
}

func TestOtterNeverDropsASetOfItsWriter(t *testing.T) {
	s := local.NewOtter(100_000, time.Hour)
	defer s.Close()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 10_000 {
				key := strconv.Itoa(g*10_000 + i)
				s.Set(key, []byte(key))
				if v, ok := s.Get(key); !ok || string(v) != key {
					t.Errorf("%s is %q, %v right after its Set", key, v, ok)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestOtterMemoryFollowsItsSize(t *testing.T) {
	before := heap()
	s := local.NewOtter(1000, time.Hour)
	defer s.Close()
	if got := int64(heap() - before); got >= 100<<10 {
		t.Errorf("an empty store for 1,000 entries takes %d bytes, want below 100 KiB", got)
	}
	runtime.KeepAlive(s)
}

func TestOtterAfterClose(t *testing.T) {
	s := local.NewOtter(10, time.Minute)
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

func TestOtterCloseWhileInUse(t *testing.T) {
	for range 20 {
		s := local.NewOtter(100, time.Minute)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 200 {
					key := strconv.Itoa(i % 10)
					s.Set(key, []byte("v"))
					s.Get(key)
				}
			})
		}
		wg.Go(s.Close)
		wg.Wait()
		if _, ok := s.Get("1"); ok {
			t.Fatal("a closed store holds an entry")
		}
	}
}

func TestOtterDroppedWithoutCloseEndsItsGoroutine(t *testing.T) {
	func() {
		s := local.NewOtter(10, time.Minute)
		s.Set("k", []byte("v"))
	}()
	stacks := make([]byte, 1<<20)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // the goroutine looks once a second
		runtime.GC()
		text := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(text, "periodicCleanUp") {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("a goroutine is left:\n%s", text)
		}
	}
}
