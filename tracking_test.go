package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// fakeTracker is a remote that tells of changes when a test says so.
type fakeTracker struct {
	*remotetest.Memory

	mu       sync.Mutex
	refuse   error               // guarded by mu: of Track
	prefixes []string            // guarded by mu: of the last Track
	changed  func(keys []string) // guarded by mu, nil if no node tracks
	broken   chan error          // guarded by mu
}

func (f *fakeTracker) Track(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error {
	f.mu.Lock()
	if f.refuse != nil {
		defer f.mu.Unlock()
		return f.refuse
	}
	broken := make(chan error, 1)
	f.prefixes, f.changed, f.broken = prefixes, changed, broken
	f.mu.Unlock()
	ready()
	select {
	case err := <-broken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell tells of changes, as the remote does.
func (f *fakeTracker) tell(keys ...string) {
	f.mu.Lock()
	changed := f.changed
	f.mu.Unlock()
	changed(keys)
}

// trackingNode makes a node that tracks, in a bubble.
func trackingNode(t testing.TB, f *fakeTracker, opts ...cache.Option) *node {
	n := &node{local: stores["Otter"](t), remote: f.Memory, counts: &recStats{}}
	return n.open(t, append([]cache.Option{cache.WithLocal(n.local), cache.WithRemote(f), cache.WithTracking("user:", "k")}, opts...))
}

func TestWhatOthersChangeIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTracker{Memory: remotetest.NewMemory()}
		f.Put("k", "old")
		n := trackingNode(t, f)
		if got := fmt.Sprint(f.prefixes); got != "[k user:]" {
			t.Errorf("it tracks %s", got)
		}
		if s, err := onceString(n, "k", never(t)); s != "old" || err != nil {
			t.Fatal(s, err)
		}
		f.Put("k", "new")
		f.tell("k", "something else")
		if s, err := onceString(n, "k", never(t)); s != "new" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
		if s := cache.SyncStateOf(n); !s.Tracking || s.Linked || !s.Ready || s.Gaps != 0 || s.InDoubt {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestTheEchoOfAnOwnWriteDropsNothing(t *testing.T) {
	writes := map[string]func(n *node) error{
		"Set":  func(n *node) error { return n.Set(ctx, "k", cache.Value("mine")) },
		"MSet": func(n *node) error { return stringsOf(n).MSet(ctx, "", map[string]string{"k": "mine"}) },
		"load": func(n *node) error { _, err := onceString(n, "k", returns("mine", nil)); return err },
		"MGet": func(n *node) error {
			_, err := stringsOf(n).MGetWithErr(ctx, "", []string{"k"}, func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"k": "mine"}, nil
			})
			return err
		},
	}
	for name, write := range writes {
		for _, fenced := range []bool{false, true} {
			t.Run(fmt.Sprint(name, fenced), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &fakeTracker{Memory: remotetest.NewMemory()}
					opts := []cache.Option{cache.WithSeparatorDisabled(true)}
					if fenced {
						opts = append(opts, cache.WithFence(maxLoad))
					}
					n := trackingNode(t, f, opts...)
					if err := write(n); err != nil {
						t.Fatal(err)
					}
					f.tell("k")
					synctest.Wait()
					if got := n.inLocal("k"); got != "mine" {
						t.Errorf("after the echo, local has %q", got)
					}
					// The same message may report a write of another node that came right after it.
					f.Put("k", "theirs")
					f.tell("k")
					synctest.Wait()
					if got := n.inLocal("k"); got != "-" {
						t.Errorf("after a foreign write, local has %q", got)
					}
					// Without an answer, nothing is kept.
					if err := n.Set(ctx, "k", cache.Value("mine")); err != nil {
						t.Fatal(err)
					}
					n.remote.SetFault(func(context.Context, string, ...string) error { return errBoom })
					f.tell("k")
					synctest.Wait()
					if got := n.inLocal("k"); got != "-" {
						t.Errorf("without an answer, local has %q", got)
					}
				})
			})
		}
	}
}

// The message about a Set comes while the Set still waits for its answer.
func TestAnEchoThatIsFasterThanTheWrite(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeTracker{Memory: remotetest.NewMemory()}
			n := trackingNode(t, f)
			f.SetFault(func(_ context.Context, op string, _ ...string) error {
				if op == "set" {
					f.SetFault(nil)
					_ = f.SetEX(ctx, "k", "mine", time.Hour) // the server stores it
					if theirs {
						defer f.Put("k", "theirs")
					}
					f.tell("k") // and sends the message at once
					time.Sleep(time.Second)
				}
				return nil
			})
			_ = n.Set(ctx, "k", cache.Value("mine"))
			if theirs {
				f.Put("k", "theirs") // over what Memory has just stored
				f.tell("k")
			}
			synctest.Wait()
			want := map[bool]string{false: "mine", true: "-"}[theirs]
			if got := n.inLocal("k"); got != want {
				t.Errorf("theirs=%v: local has %q, want %q", theirs, got, want)
			}
		})
	}
}

// The remote has the value that this node wrote. The local level has a value that the remote had in between.
func TestTheEchoOfAValueThatIsBackDropsWhatWasReadBefore(t *testing.T) {
	for name, read := range map[string]func(n *node, f *fakeTracker){
		"a refused Set": func(n *node, f *fakeTracker) {
			f.Put("k", "off")
			_ = n.Set(ctx, "k", cache.Value("on"), cache.SetNX(true))
			_ = n.Get(ctx, "k", nil)
		},
		"a foreign Set that is not told yet": func(n *node, f *fakeTracker) {
			_ = n.Set(ctx, "k", cache.Value("on"))
			n.DeleteFromLocalCache("k")
			f.Put("k", "off")
			_ = n.Get(ctx, "k", nil)
		},
		"a read under way": func(n *node, f *fakeTracker) {
			_ = n.Set(ctx, "k", cache.Value("on"))
			n.DeleteFromLocalCache("k")
			f.Put("k", "off")
			go func() { _ = n.Get(ctx, "k", nil) }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeTracker{Memory: remotetest.NewMemory()}
				answers := make(chan struct{})
				n := &node{local: stores["Otter"](t), remote: f.Memory, counts: &recStats{}}
				n.open(t, []cache.Option{cache.WithLocal(n.local), cache.WithTracking(), cache.WithRemote(lateTracker{f, func() {
					if name == "a read under way" {
						<-answers
					}
				}})})
				read(n, f)
				synctest.Wait()
				_ = f.SetEX(ctx, "k", "on", time.Hour)
				f.tell("k")
				synctest.Wait()
				close(answers)
				synctest.Wait()
				if s, err := onceString(n, "k", never(t)); s != "on" || err != nil {
					t.Errorf("it reads %q, %v", s, err)
				}
			})
		})
	}
}

// lateTracker is a fakeTracker whose reads of one key wait between reading the value and returning it.
type lateTracker struct {
	*fakeTracker
	wait func()
}

func (l lateTracker) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	v, err := l.fakeTracker.GetWithTTL(ctx, key)
	l.wait()
	return v, err
}

func TestAllKeysChangedAndABrokenConnectionAreGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTracker{Memory: remotetest.NewMemory()}
		n := trackingNode(t, f)
		_ = n.Set(ctx, "k", cache.Value("old"))
		pass(time.Minute)
		f.Put("k", "new")
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		changed(nil)
		if s, err := onceString(n, "k", never(t)); s != "new" || err != nil {
			t.Errorf("after FLUSHDB: %q, %v", s, err)
		}
		f.Put("k", "newer")
		f.mu.Lock()
		f.refuse = errBoom
		f.broken <- errBoom
		f.mu.Unlock()
		synctest.Wait()
		if s := cache.SyncStateOf(n); s.Ready || !errors.Is(s.Err, errBoom) || !s.InDoubt {
			t.Errorf("the state is %+v", s)
		}
		if s, err := onceString(n, "k", never(t)); s != "newer" || err != nil {
			t.Errorf("while it is broken: %q, %v", s, err)
		}
		f.mu.Lock()
		f.refuse = nil
		f.mu.Unlock()
		pass(5 * time.Second)
		if s := cache.SyncStateOf(n); !s.Ready || s.Gaps == 0 {
			t.Errorf("the state is %+v", s)
		}
		_, _ = onceString(n, "k", never(t))
		n.counts.take()
		if _, err := onceString(n, "k", never(t)); err != nil || n.counts.take() != "h lh" {
			t.Errorf("what was read since is not trusted: %v", err)
		}
	})
}

func TestATrackerThatCannotWorkIsAnErrorInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		f := &fakeTracker{Memory: remotetest.NewMemory(), refuse: fmt.Errorf("%w: the server is too old", remote.ErrUnsupported)}
		n := trackingNode(t, f)
		lines := log.matching("WithTracking cannot work here")
		if len(lines) != 1 || !strings.HasPrefix(lines[0], "error") || !strings.Contains(lines[0], "too old") {
			t.Errorf("the log has %q", lines)
		}
		if s := cache.SyncStateOf(n); s.Ready || !errors.Is(s.Err, remote.ErrUnsupported) {
			t.Errorf("the state is %+v", s)
		}
		_ = n.Set(ctx, "k", cache.Value("old"))
		f.Put("k", "new")
		if s, err := onceString(n, "k", never(t)); s != "new" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
	})
}

func TestAKeyThatNoPrefixCoversIsAnErrorInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		f := &fakeTracker{Memory: remotetest.NewMemory()}
		n := trackingNode(t, f)
		_ = n.Set(ctx, "user:1", cache.Value("v"))
		_ = n.Set(ctx, "order:1", cache.Value("v"))
		_ = n.Set(ctx, "order:2", cache.Value("v"))
		lines := log.matching("no prefix of it")
		if len(lines) != 1 || !strings.Contains(lines[0], `"order:1"`) || !strings.HasPrefix(lines[0], "error") {
			t.Errorf("the log has %q", lines)
		}
	})
}

func TestTrackingTellsNobodyUnlessAskedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, channel := range []string{"", "c"} {
			bus := remotetest.NewBus()
			f := &fakeTracker{Memory: remotetest.NewMemory()}
			opts := []cache.Option{cache.WithSyncLocal(true)}
			if channel != "" {
				opts = append(opts, cache.WithSyncBus(bus), cache.WithSyncChannel(channel))
			}
			n := trackingNode(t, f, opts...)
			if err := n.Set(ctx, "k", cache.Value("v")); err != nil {
				t.Fatal(err)
			}
			s := cache.SyncStateOf(n)
			if want := channel != ""; s.Linked != want || !s.Tracking || !s.Ready || (bus.Published("c") == 1) != want {
				t.Errorf("channel %q: the state is %+v", channel, s)
			}
		}
	})
}
