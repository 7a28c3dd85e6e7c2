package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// A cache is used before its link comes up for the first time, and misses a change.
func TestWhatWasReadBeforeTheLinkFirstCameUpIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, memory := remotetest.NewBus(), remotetest.NewMemory()
		memory.Put("k", "old")
		bus.Fail(errBoom)
		n := bothOn(t, memory, cache.WithSyncLocal(true), cache.WithSyncBus(bus))
		if s, err := onceString(n, "k", never(t)); s != "old" || err != nil {
			t.Fatal(s, err)
		}
		memory.Put("k", "new")
		bus.Fail(nil)
		pass(5 * time.Second)
		if s := cache.SyncStateOf(n); !s.Ready {
			t.Fatalf("the state is %+v", s)
		}
		if s, err := onceString(n, "k", never(t)); s != "new" || err != nil {
			t.Errorf("it reads %q, %v", s, err)
		}
	})
}
