package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/stats"
)

var _ stats.Handler = (*counts)(nil)

// Ten records at once, each with another fate.
func TestEachRecordOfACallHasItsOwnFate(t *testing.T) {
	w := newWorld(t)
	w.store.Set("local", []byte("l"))
	w.store.Set("damaged", []byte("damaged"))
	w.store.Set("hopeless", []byte("damaged"))
	w.store.Set("no such record", []byte("*"))
	w.store.Set("reload", []byte("old")) // its caller could not decode it
	for _, kv := range []string{"damaged=d", "hopeless=damaged", "remote=r", "placeholder=*", "distrusted=old", "reload=old"} {
		k, v, _ := strings.Cut(kv, "=")
		w.memory.Put(k, v)
	}
	w.fence.distrust = map[string]error{"distrusted": errBoom}
	c := w.call("local", "damaged", "hopeless", "no such record", "remote", "placeholder", "distrusted", "reload", "loaded", "absent")
	c.prepare = func(rec *record.Record) { rec.Reload = rec.Key == "reload" }
	c.loads("distrusted=new", "reload=good", "loaded=v", "hopeless=h", "not asked for=x").run()
	c.want(
		"local: value local l",
		"damaged: value remote d",
		"hopeless: value loader h",
		"no such record: not found local",
		"remote: value remote r",
		"placeholder: not found remote",
		"distrusted: value loader new",
		"reload: value loader good",
		"loaded: value loader v",
		"absent: not found loader",
	)
	w.wantLevels(
		"local: l -",
		"damaged: d d",
		"hopeless: h h",
		"no such record: * -",
		"remote: r r",
		"placeholder: * *",
		"distrusted: new new",
		"reload: good good",
		"loaded: v v",
		"absent: * *",
		"not asked for: - -",
	)
	if got := strings.Join(c.asked, " "); got != "hopeless distrusted reload loaded absent" {
		t.Errorf("the loader was asked for %s", got)
	}
	w.wantCounts("h*5 m*5 lh*2 lm*8 rh*3 rm*5 q")
	w.wantHappened("begin hopeless distrusted reload loaded absent, tell 7 hopeless distrusted reload loaded absent")
	if len(c.troubles) > 0 {
		t.Errorf("it reported %q", c.troubles)
	}
	if n := w.memory.Calls("mget") + w.memory.Calls("mset"); n != 2 {
		t.Errorf("%d calls of the remote, want a read and a write", n)
	}
}

func TestWithoutALoaderAMissIsResolved(t *testing.T) {
	w := newWorld(t)
	w.store.Set("damaged", []byte("damaged"))
	w.memory.Put("remote", "r")
	c := w.call("missing", "damaged", "remote").run()
	c.want("missing: miss", "damaged: error: damaged is damaged", "remote: value remote r")
	w.wantCounts("h m*2 lm*3 rh rm*2")
	w.wantHappened("")
	w.wantLevels("missing: - -", "damaged: damaged -", "remote: r r")
}

func TestOneLevelIsEnough(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		w := newWorld(t).connect(true, false)
		w.store.Set("here", []byte("h"))
		w.call("here", "loaded", "absent").loads("loaded=v").run().want("here: value local h", "loaded: value loader v", "absent: not found loader")
		w.wantLevels("loaded: v -", "absent: * -")
		w.wantCounts("h m*2 lh lm*2 q")
		w.wantHappened("tell 7 loaded absent")
		if got := w.store.life("loaded"); got != record.NoBound {
			t.Errorf("the value is kept for %s", got)
		}
	})
	t.Run("remote", func(t *testing.T) {
		w := newWorld(t).connect(false, true)
		w.memory.Put("here", "h")
		w.call("here", "loaded", "absent").loads("loaded=v").run().want("here: value remote h", "loaded: value loader v", "absent: not found loader")
		w.wantLevels("loaded: - v", "absent: - *")
		w.wantCounts("h m*2 rh rm*2 q")
	})
}

// What is in doubt is the answer when the remote gives none, key by key.
func TestADoubtedEntryIsServedOnlyIfTheRemoteDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"unanswered", "distrusted", "gone", "there", "no such record"} {
		w.store.Set(key, []byte("old"))
	}
	w.store.Set("no such record", []byte("*"))
	w.store.Set("damaged", []byte("damaged"))
	w.doubted()
	w.memory.Put("there", "new")
	w.memory.failing = []string{"unanswered", "damaged", "nothing", "no such record"}
	w.fence.distrust = map[string]error{"distrusted": errBoom}
	c := w.call("unanswered", "distrusted", "gone", "there", "damaged", "nothing", "no such record").run()
	c.want(
		"unanswered: value local old",
		"distrusted: value local old",
		"gone: miss",
		"there: value remote new",
		"damaged: error: damaged is damaged",
		"nothing: miss",
		"no such record: not found local",
	)
	w.wantLevels("unanswered: old -", "gone: - -", "there: new new", "damaged: damaged -")
	w.wantCounts("h*4 m*3 lh*3 lm*7 rh rm*6")
	if len(c.troubles) != 1 || !strings.HasPrefix(c.troubles[0], "reading 6: remote: mget: 4 keys failed") {
		t.Errorf("it reported %q", c.troubles)
	}
}

// The entry in doubt goes only if the remote says that the key is gone, and no change came since.
func TestADoubtedEntryIsNotDroppedForAnAnswerFromBeforeAChange(t *testing.T) {
	w := newWorld(t)
	w.store.Set("k", []byte("old"))
	w.doubted()
	w.memory.SetFault(func(context.Context, string, ...string) error {
		w.flights.Invalidate("k", func() { w.store.Set("k", []byte("newer")) })
		return nil
	})
	w.call("k").run().want("k: miss")
	w.wantLevels("k: newer -")
}

func TestAFailingRemoteIsAMiss(t *testing.T) {
	w := newWorld(t)
	w.memory.SetFault(func(context.Context, string, ...string) error { return errBoom })
	c := w.call("a", "b").loads("a=1").run()
	c.want("a: value loader 1", "b: not found loader")
	w.wantLevels("a: 1 -", "b: * -")
	w.wantCounts("m*2 lm*2 rm*2 q")
	w.wantHappened("tell 7 a b")
	if got := fmt.Sprint(c.troubles); got != "[reading 2: boom writing 2: not sent to the remote, which gave no answer before: boom]" {
		t.Errorf("it reported %s", got)
	}
}

// Only what was asked for counts in the report: the others were not to be read.
func TestWhatIsDistrustedIsNotReportedAsUnread(t *testing.T) {
	w := newWorld(t)
	w.memory.SetFault(func(context.Context, string, ...string) error { return errBoom })
	w.fence.distrust = map[string]error{"a": errBoom}
	c := w.call("a", "b", "c").run()
	if got := fmt.Sprint(c.troubles); got != "[reading 2: boom]" {
		t.Errorf("it reported %s", got)
	}
	w.fence.distrust["b"], w.fence.distrust["c"] = errBoom, errBoom
	calls := w.memory.Calls("mget")
	if c := w.call("a", "b", "c").run(); len(c.troubles) > 0 || w.memory.Calls("mget") != calls {
		t.Errorf("it asked the remote for nothing, and reported %q", c.troubles)
	}
}

func TestSkipLocalNeitherReadsNorFillsTheLocalLevel(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"remote", "loaded", "absent", "missing"} {
		w.store.Set(key, []byte("old"))
	}
	w.memory.Put("remote", "r")
	c := w.call("remote", "loaded", "absent").loads("loaded=v")
	c.SkipLocal = true
	c.run().want("remote: value remote r", "loaded: value loader v", "absent: not found loader")
	w.wantLevels("remote: old r", "loaded: - v", "absent: - *")
	w.wantCounts("h m*2 rh rm*2 q")
	w.wantHappened("begin loaded absent, tell 7 loaded absent")

	w.doubted()
	w.memory.failing = []string{"missing", "absent"}
	c = w.call("missing", "absent")
	c.SkipLocal = true
	c.run().want("missing: miss", "absent: miss")
}

// Read counts hits, and leaves the misses to its caller. The refresh and the lease use it so.
func TestReadByItself(t *testing.T) {
	w := newWorld(t)
	w.memory.Put("there", "v")
	w.memory.Put("reload", "v")
	w.store.Set("reload", []byte("l"))
	w.doubted()
	w.memory.SetFault(func(_ context.Context, op string, keys ...string) error {
		w.note("%s %s", op, strings.Join(keys, " "))
		return nil
	})
	c := w.call("missing", "there", "reload")
	c.prepare = func(rec *record.Record) { rec.Reload = rec.Key == "reload" }
	c.reads = func(ctx context.Context, recs []*record.Record) {
		rest := c.Read(ctx, &c.Request, recs)
		if got := strings.Join(record.Keys(rest), " "); got != "missing reload" {
			t.Errorf("the rest is %s", got)
		}
		for _, rec := range rest {
			c.Resolve(rec)
		}
	}
	c.run().want("missing: miss", "there: value remote v", "reload: miss")
	w.wantCounts("h rh")
	w.wantHappened("mget missing there")
	w.wantLevels("there: v v", "reload: l v")
}

func TestARemoteThatPanicsLeavesNoRecordBehind(t *testing.T) {
	for _, op := range []string{"mget", "mset"} {
		t.Run(op, func(t *testing.T) {
			w := newWorld(t)
			w.memory.SetFault(func(_ context.Context, got string, _ ...string) error {
				if got == op {
					panic("the remote is broken")
				}
				return nil
			})
			w.store.Set("a", []byte("old"))
			c := w.call("a", "b", "c").loads("b=1").run()
			var panicked *flight.PanicError
			if !errors.As(c.ended, &panicked) {
				t.Errorf("the load ended with %v", c.ended)
			}
			c.want("a: value local old")
			if op == "mset" {
				c.want("b: value loader 1", "c: not found loader")
			} else if err := c.results["b"].err; !errors.As(err, &panicked) {
				t.Errorf("b: %v", err)
			}
			for _, key := range c.keys { // no lane is held
				lane, err := w.flights.BeginWrite(ended(), key)
				if err != nil {
					t.Fatalf("%s: %v", key, err)
				}
				lane.End(nil)
			}
		})
	}
}

// ended returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestALoaderThatFails(t *testing.T) {
	for name, tt := range map[string]struct {
		loader func(context.Context, []string) (map[string]string, error)
		check  func(err error) bool
		early  bool // the load ends with it
	}{
		"error": {
			func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"a": "1"}, errBoom
			},
			func(err error) bool { return errors.Is(err, errBoom) }, false,
		},
		"panic": {
			func(context.Context, []string) (map[string]string, error) { panic(errBoom) },
			func(err error) bool {
				var p *flight.PanicError
				return errors.As(err, &p) && errors.Is(err, errBoom)
			}, false,
		},
		"Goexit": {
			func(context.Context, []string) (map[string]string, error) { runtime.Goexit(); return nil, nil },
			func(err error) bool { return errors.Is(err, flight.ErrGoexit) }, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.memory.Put("there", "v")
			w.store.Set("damaged", []byte("damaged"))
			c := w.call("a", "there", "damaged", "b")
			c.loader = tt.loader
			c.run().want("there: value remote v")
			for _, key := range []string{"a", "b", "damaged"} {
				if r := c.results[key]; !tt.check(r.err) || r.out.Kind != record.Miss {
					t.Errorf("%s: %+v", key, r)
				}
			}
			if early := c.ended != nil; early != tt.early {
				t.Errorf("the load ended with %v", c.ended)
			}
			w.wantLevels("a: - -", "b: - -", "damaged: damaged -")
			w.wantCounts("h m*3 lm*4 rh rm*3 q qf")
			w.wantHappened("begin a damaged b")
		})
	}
}

func TestALoaderIsNotCalledForCallersThatHaveLeft(t *testing.T) {
	w := newWorld(t)
	c := w.call("a", "b").loads("a=1")
	c.reads = func(_ context.Context, recs []*record.Record) {
		c.Run(ended(), &c.Request, recs)
	}
	c.run()
	for _, key := range c.keys {
		if err := c.results[key].err; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if c.asked != nil {
		t.Errorf("the loader was asked for %q", c.asked)
	}
	w.wantCounts("m*2 lm*2 rm*2")
	w.wantLevels("a: - -")
}

// The note of what must not change is taken before the loader is called.
func TestCallNotesWhatMustNotChangeFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		ttl  time.Duration
		want string
	}{
		"for the remote":     {0, "begin a b, load"},
		"not for the remote": {-1, "load"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.doubted()
			before := w.Local.Doubts.Now()
			c := w.call("a", "b")
			c.TTL = tt.ttl
			c.loader = func(context.Context, []string) (map[string]string, error) {
				w.note("load")
				w.Local.Doubts.Gap()
				return nil, nil
			}
			c.reads = func(ctx context.Context, recs []*record.Record) {
				if err := c.Call(ctx, &c.Request, recs); err != nil {
					t.Error(err)
				}
				for _, rec := range recs {
					if rec.Phase != before {
						t.Errorf("%s has a phase from after the gap", rec.Key)
					}
					c.Resolve(rec)
				}
			}
			c.run()
			w.wantHappened(tt.want)
			w.wantCounts("q")
		})
	}
}

func TestCallEndsRecordsOnlyIfTheLoaderFails(t *testing.T) {
	w := newWorld(t)
	c := w.call("a")
	c.loader = func(context.Context, []string) (map[string]string, error) { return nil, errBoom }
	c.reads = func(ctx context.Context, recs []*record.Record) {
		if err := c.Call(ctx, &c.Request, recs); !errors.Is(err, errBoom) {
			t.Errorf("Call: %v", err)
		}
	}
	c.run().want("a: error: boom")
}

// A leader is a lease.Policy that divides records among the three steps, by their keys.
type leader struct{ lease.Off }

func (leader) Lead(ctx context.Context, recs []*record.Record, steps lease.Steps) {
	var load, read []*record.Record
	for _, rec := range recs {
		switch {
		case strings.HasPrefix(rec.Key, "elsewhere"):
			read = append(read, rec)
		case strings.HasPrefix(rec.Key, "failed"):
			steps.Fail(rec, errBoom)
		default:
			load = append(load, rec)
		}
	}
	steps.Load(ctx, append(load, steps.Read(ctx, read)...))
}

func TestALeaseDividesTheRecords(t *testing.T) {
	w := newWorld(t)
	w.Lease = leader{}
	c := w.call("here", "elsewhere", "elsewhere, but gone", "failed")
	c.reads = func(ctx context.Context, recs []*record.Record) {
		rest := c.Look(ctx, &c.Request, recs)
		w.memory.Put("elsewhere", "theirs") // another node has loaded it meanwhile
		c.Path.Load(ctx, &c.Request, rest)
	}
	c.loads("here=1", "elsewhere, but gone=2").run()
	c.want("here: value loader 1", "elsewhere: value remote theirs", "elsewhere, but gone: value loader 2", "failed: error: boom")
	w.wantHappened("begin here elsewhere, but gone, tell 7 here elsewhere, but gone")
	w.wantLevels("here: 1 1", "elsewhere: theirs theirs", "elsewhere, but gone: 2 2", "failed: - -")
}

// Only the remote tells other nodes what was loaded, so a lease is of no use without it.
func TestThereIsNoLeaseForWhatIsNotForTheRemote(t *testing.T) {
	for name, prepare := range map[string]func(w *world, c *call){
		"TTL below zero": func(_ *world, c *call) { c.TTL = -1 },
		"no remote":      func(w *world, _ *call) { w.connect(true, false) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.call("failed").loads("failed=v")
			prepare(w, c)
			w.Lease = leader{}
			c.run().want("failed: value loader v")
		})
	}
}

// A change that comes while the remote is asked voids the fill of the local level, not the answer.
func TestAReadThatIsOvertakenFillsNothing(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"invalidation": func(w *world) { w.flights.Invalidate("k", func() { w.store.Del("k") }) },
		"write": func(w *world) {
			lane, err := w.flights.BeginWrite(ctx, "k")
			if err != nil {
				w.t.Error(err)
				return
			}
			lane.End(func(bool) bool { w.store.Del("k"); return true })
		},
		"a tracked change": func(w *world) { w.flights.VoidReads("k", func() {}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.memory.Put("k", "old")
			w.memory.Put("other", "fine")
			w.memory.SetFault(func(context.Context, string, ...string) error { change(w); return nil })
			w.call("k", "other").run().want("k: value remote old", "other: value remote fine")
			w.wantLevels("k: - old", "other: fine fine")
		})
	}
}

// A local entry lives no longer than what remains in the remote.
func TestWhatIsReadIsKeptForAsLongAsItRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.memory.SetEX(ctx, "k", "v", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		w.call("k").run().want("k: value remote v")
		if got := w.store.life("k"); got != 6*time.Second {
			t.Errorf("it is kept for %s", got)
		}
	})
}

func TestLifetimes(t *testing.T) {
	both, alone := newWorld(t), newWorld(t).connect(true, false)
	for _, tt := range []struct {
		name string
		p    *Path
		ttl  time.Duration
		want record.Lifetimes
	}{
		{"default", both.Path, 0, record.Lifetimes{Remote: remoteExpiry, Local: remoteExpiry}},
		{"TTL", both.Path, time.Second, record.Lifetimes{Remote: time.Second, Local: time.Second}},
		{"below zero", both.Path, -1, record.Lifetimes{Remote: 0, Local: record.NoBound}},
		{"default without a remote", alone.Path, 0, record.Lifetimes{Local: record.NoBound}},
		{"TTL without a remote", alone.Path, time.Second, record.Lifetimes{Remote: time.Second, Local: time.Second}},
	} {
		if got := tt.p.Lifetimes(tt.ttl); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if got := both.PlaceholderLifetimes(time.Second); got != (record.Lifetimes{Remote: notFoundExpiry, Local: notFoundExpiry}) {
		t.Errorf("a placeholder lives for %+v", got)
	}
	if got := both.PlaceholderLifetimes(-1); got != (record.Lifetimes{Local: notFoundExpiry}) {
		t.Errorf("a placeholder that is not for the remote lives for %+v", got)
	}
	both.Offset = time.Second
	for range 100 {
		if got := both.PlaceholderLifetimes(0); got.Remote != got.Local || got.Local < notFoundExpiry || got.Local >= notFoundExpiry+time.Second {
			t.Fatalf("with an offset, a placeholder lives for %+v", got)
		}
	}
}

var _ lease.Steps = (*steps)(nil)
