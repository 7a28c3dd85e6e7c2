package cache_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// breaks are the ways in which messages get lost.
var breaks = map[string]func(bus *remotetest.Bus) (mend func()){
	"a lost connection": func(bus *remotetest.Bus) func() {
		bus.Fail(errBoom)
		return func() { bus.Fail(nil) }
	},
	"a black hole": func(bus *remotetest.Bus) func() {
		bus.Lose(func(string, []byte) bool { return true })
		return func() { bus.Lose(nil) }
	},
	"one lost message": func(bus *remotetest.Bus) func() {
		bus.Lose(func(channel string, _ []byte) bool { return !strings.HasSuffix(channel, "#signals") })
		return func() { bus.Lose(nil) }
	},
}

// After a gap, the cache serves no old value. It reads each key from the remote once.
func TestAfterAGapTheLocalLevelIsCheckedAgainstTheRemote(t *testing.T) {
	for name, breakBus := range breaks {
		for _, store := range []string{"Otter", "TinyLFU", "FreeCache"} {
			t.Run(name+" "+store, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus, memory := remotetest.NewBus(), remotetest.NewMemory()
					opts := []cache.Option{cache.WithSyncLocal(true), cache.WithSyncBus(bus), cache.WithRemote(memory)}
					writer := bothOn(t, memory, opts...)
					reader := &node{local: stores[store](t), remote: memory, counts: &recStats{}}
					reader.open(t, append(opts, cache.WithLocal(reader.local)))
					tt := cache.NewT[string, string](reader.Cache)
					pass(4 * heartbeat)
					for _, key := range []string{"t:once", "t:get", "t:typed", "t:batch", "t:same"} {
						_ = writer.Set(ctx, key, cache.Value("old"))
						if s, err := onceString(reader, key, never(t)); s != "old" || err != nil {
							t.Fatal(s, err)
						}
					}
					mend := breakBus(bus)
					for _, key := range []string{"t:once", "t:get", "t:typed", "t:batch"} {
						if err := writer.Set(ctx, key, cache.Value("new")); name == "a lost connection" != errors.Is(err, cache.ErrNotTold) {
							t.Errorf("Set: %v", err)
						}
					}
					pass(blind)
					if name == "one lost message" {
						mend()
						pass(blind)
					}
					read := func() {
						t.Helper()
						if s, err := onceString(reader, "t:once", never(t)); s != "new" || err != nil {
							t.Errorf("Once: %q, %v", s, err)
						}
						var s string
						if err := reader.Get(ctx, "t:get", &s); s != "new" || err != nil {
							t.Errorf("Get: %q, %v", s, err)
						}
						if s, err := tt.Get(ctx, "t", "typed", nil); s != "new" || err != nil {
							t.Errorf("T.Get: %q, %v", s, err)
						}
						if m, err := tt.MGetWithErr(ctx, "t", []string{"batch", "same"}, nil); m["batch"] != "new" || m["same"] != "old" || err != nil {
							t.Errorf("MGet: %q, %v", m, err)
						}
					}
					reader.counts.take()
					read()
					if got := reader.counts.take(); !strings.Contains(got, "rh*5") {
						t.Errorf("the first reads count %q, want five remote hits", got)
					}
					mend()
					pass(blind)
					read() // what was read while the link was down is checked once more
					reader.counts.take()
					read()
					if got, want := reader.counts.take(), "h*5 lh*5"; got != want {
						t.Errorf("later reads count %q, want %q (state %+v)", got, want, cache.SyncStateOf(reader))
					}
					if s := cache.SyncStateOf(reader); s.Gaps == 0 || !s.InDoubt || !s.Ready {
						t.Errorf("the state is %+v", s)
					}
				})
			})
		}
	}
}

// If neither the link nor the remote answers, the cache serves the local entries.
func TestWhatIsInDoubtIsServedIfTheRemoteCannotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := fleetOf(t, 1)
		n := nodes[0]
		tt := cache.NewT[string, string](n.Cache)
		for _, key := range []string{"t:a", "t:b"} {
			_ = n.Set(ctx, key, cache.Value("v"))
		}
		bus.Fail(errBoom)
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		pass(blind)
		if s, err := onceString(n, "t:a", never(t)); s != "v" || err != nil {
			t.Errorf("Once: %q, %v", s, err)
		}
		var s string
		if err := n.Get(ctx, "t:a", &s); s != "v" || err != nil {
			t.Errorf("Get: %q, %v", s, err)
		}
		if s, err := tt.Get(ctx, "t", "a", nil); s != "v" || err != nil {
			t.Errorf("T.Get: %q, %v", s, err)
		}
		m, err := tt.MGetWithErr(ctx, "t", []string{"a", "b"}, nil)
		if m["a"] != "v" || m["b"] != "v" || !errors.Is(err, errBoom) {
			t.Errorf("MGet: %q, %v", m, err)
		}
		// An entry that the remote does not have is never served again, also if the remote fails later.
		n.remote.SetFault(nil)
		_, _ = n.remote.Del(ctx, "t:a")
		if err := n.Get(ctx, "t:a", &s); !errors.Is(err, cache.ErrCacheMiss) {
			t.Errorf("Get of what is gone: %v", err)
		}
		n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
		if err := n.Get(ctx, "t:a", &s); !errors.Is(err, errBoom) {
			t.Errorf("then: %v", err)
		}
	})
}

func TestTheDoubtsEndWhenTheStoreHasNothingOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := fleetOf(t, 1) // the store keeps entries for an hour
		_ = nodes[0].Set(ctx, "k", cache.Value("v"))
		bus.Fail(errBoom)
		bus.Fail(nil)
		pass(10 * time.Second)
		if s := cache.SyncStateOf(nodes[0]); !s.InDoubt || !s.Ready {
			t.Errorf("after the gap: %+v", s)
		}
		pass(2 * time.Hour)
		if s := cache.SyncStateOf(nodes[0]); s.InDoubt {
			t.Errorf("two hours later: %+v", s)
		}
	})
}

func TestACacheOverAStoreThatWasUsedDoubtsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, memory := remotetest.NewBus(), remotetest.NewMemory()
		first := bothOn(t, memory, cache.WithSyncLocal(true), cache.WithSyncBus(bus))
		_ = first.Set(ctx, "k", cache.Value("old"))
		first.Close()
		_ = bothOn(t, memory).Set(ctx, "k", cache.Value("new"))
		if s, err := onceString(first, "k", never(t)); s != "new" || err != nil {
			t.Errorf("the closed cache reads %q, %v", s, err)
		}
		_ = first.Set(ctx, "k", cache.Value("old"))
		pass(time.Second)
		second := cache.New(cache.WithLocal(first.local), cache.WithRemote(memory), cache.WithSyncLocal(true), cache.WithSyncBus(bus))
		defer second.Close()
		_ = bothOn(t, memory).Set(ctx, "k", cache.Value("new"))
		if s, err := onceString(second, "k", never(t)); s != "new" || err != nil {
			t.Errorf("a new cache over the same store reads %q, %v", s, err)
		}
	})
}
