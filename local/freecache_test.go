package local_test

import (
	"bytes"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/local/localtest"
)

func TestFreeCache(t *testing.T) {
	arena := local.NewArena(4 * local.MB)
	tests := map[string]func() *local.FreeCache{
		"shared arena":           func() *local.FreeCache { return local.NewFreeCache(local.MB, time.Hour) },
		"own arena":              func() *local.FreeCache { return arena.NewFreeCache(time.Hour) },
		"no expiry, with prefix": func() *local.FreeCache { return arena.NewFreeCache(0, "p") },
	}
	for name, create := range tests {
		t.Run(name, func(t *testing.T) {
			localtest.Run(t, func(*testing.T) local.Local { return create() })
		})
	}
}

func TestFreeCachesNeverSeeEachOthersEntries(t *testing.T) {
	stores := []*local.FreeCache{
		local.NewFreeCache(local.MB, time.Hour), local.NewFreeCache(local.MB, time.Hour),
		local.NewFreeCache(local.MB, time.Hour, "p"), local.NewFreeCache(local.MB, time.Hour, "p"),
		local.NewFreeCache(local.MB, time.Hour, "p:p"),
	}
	keys := []string{"k", "p:k", "p:p:k"}
	for i, s := range stores {
		for _, k := range keys {
			for _, other := range stores[i:] {
				if v, ok := other.Get(k); ok {
					t.Fatalf("a fresh store has %q: %q", k, v)
				}
			}
			s.Set(k, []byte(strconv.Itoa(i)))
		}
	}
	stores[0].Del("k")
	for i, s := range stores[1:] {
		for _, k := range keys {
			if v, ok := s.Get(k); !ok || string(v) != strconv.Itoa(i+1) {
				t.Errorf("store %d has %q: %q, %v", i+1, k, v, ok)
			}
		}
	}
}

func TestFreeCacheKey(t *testing.T) {
	if got := local.NewFreeCache(local.MB, 0, "user").Key("7"); got != "user:7" {
		t.Errorf("with a prefix: %q", got)
	}
	if got := local.NewFreeCache(local.MB, 0).Key("7"); got != "7" {
		t.Errorf("without a prefix: %q", got)
	}
}

func TestFreeCacheExpires(t *testing.T) {
	arena := local.NewArena(local.MB)
	tests := map[string]struct {
		ttl, alive, dead time.Duration
	}{
		"minute":                 {time.Minute, time.Minute - time.Millisecond, 67 * time.Second},
		"less than 1s is 1s":     {10 * time.Millisecond, 999 * time.Millisecond, 1101 * time.Millisecond},
		"a fraction of a second": {2500 * time.Millisecond, 2499 * time.Millisecond, 2751 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(300 * time.Millisecond) // so that it does not begin at a full second
				s := arena.NewFreeCache(tt.ttl)
				s.Set("k", []byte("v"))
				time.Sleep(tt.alive)
				if _, ok := s.Get("k"); !ok {
					t.Error("the entry is gone before its TTL")
				}
				time.Sleep(tt.dead - tt.alive)
				if _, ok := s.Get("k"); ok {
					t.Error("the entry is there after its TTL and jitter")
				}
			})
		})
	}
}

func TestFreeCacheVeryLongTTL(t *testing.T) {
	s := local.NewArena(local.MB).NewFreeCache(0)
	s.SetWithTTL("k", []byte("v"), math.MaxInt64)
	if _, ok := s.Get("k"); !ok {
		t.Error("an entry with the longest TTL is a miss")
	}
}

func TestFreeCacheUpdateThatDoesNotFitRemovesTheOldValue(t *testing.T) {
	s := local.NewArena(512 * local.KB).NewFreeCache(time.Hour)
	s.Set("k", []byte("old"))
	s.Set("k", make([]byte, 1000)) // the limit is 1/1024 of the arena
	if v, ok := s.Get("k"); ok {
		t.Errorf("after an update that does not fit, the key is %q", v)
	}
	s.SetWithTTL("k", []byte("old"), time.Minute)
	s.SetWithTTL("k", make([]byte, 1000), time.Minute)
	if v, ok := s.Get("k"); ok {
		t.Errorf("after an update with a TTL that does not fit, the key is %q", v)
	}
}

func TestFreeCacheCopies(t *testing.T) {
	s := local.NewArena(local.MB).NewFreeCache(time.Hour)
	in := []byte("value")
	s.Set("k", in)
	clear(in)
	out, _ := s.Get("k")
	clear(out)
	if got, _ := s.Get("k"); !bytes.Equal(got, []byte("value")) {
		t.Errorf("the entry changed with a caller's buffer: %q", got)
	}
}
