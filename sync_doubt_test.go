package cache_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
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

// firstAnswer is a remote whose first answer to a read of "read" arrives when answer is closed.
type firstAnswer struct {
	*remotetest.Memory
	answer chan struct{}
	first  sync.Once
}

func (f *firstAnswer) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	v, err := f.Memory.GetWithTTL(ctx, key)
	if key == "read" {
		hold := false
		if f.first.Do(func() { hold = true }); hold {
			<-f.answer
		}
	}
	return v, err
}

// The message about a change is lost while a read of the old value is under way. The node notices the gap
// and reads the new value. The old value arrives after that.
func TestWhatWasAskedForBeforeAGapDoesNotReplaceWhatIsNewer(t *testing.T) {
	for name, wait := range map[string]time.Duration{"while there are doubts": blind, "when they have ended": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, s := remotetest.NewBus(), &firstAnswer{Memory: remotetest.NewMemory(), answer: make(chan struct{})}
				s.Put("read", "old")
				opts := []cache.Option{cache.WithSyncLocal(true), cache.WithSyncBus(bus)}
				other := bothOn(t, s.Memory, opts...)
				store := local.NewOtter(1000, time.Minute)
				t.Cleanup(store.Close)
				n := &node{local: store, remote: s.Memory, counts: &recStats{}}
				n.open(t, append(opts, cache.WithLocal(store), cache.WithRemote(s)))
				pass(4 * heartbeat)

				go func() { _ = n.Get(ctx, "read", nil) }()
				go func() {
					_, _ = onceString(n, "loaded", cache.TTL(-1), cache.Do(func(context.Context) (any, error) {
						<-s.answer
						return "old", nil
					}))
				}()
				synctest.Wait()
				bus.Lose(func(channel string, _ []byte) bool { return channel == "jetcache:sync:default" })
				for _, key := range []string{"read", "loaded"} {
					if err := other.Set(ctx, key, cache.Value("new")); err != nil {
						t.Fatal(err)
					}
				}
				bus.Lose(nil)
				pass(wait)
				if st := cache.SyncStateOf(n); st.Gaps != 1 || st.InDoubt != (wait == blind) {
					t.Fatalf("the state is %+v", st)
				}
				expectNew := func() {
					t.Helper()
					for _, key := range []string{"read", "loaded"} {
						if s, err := onceString(n, key, never(t)); s != "new" || err != nil {
							t.Errorf("%s: %q, %v", key, s, err)
						}
					}
				}
				expectNew()
				close(s.answer)
				synctest.Wait()
				expectNew()
			})
		})
	}
}
