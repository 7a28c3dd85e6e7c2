package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// changes are what can overtake a load: an event of another node, and a change on this one.
var changes = map[string]func(w *world, key string){
	"invalidation": func(w *world, key string) {
		w.flights.Invalidate(key, func() { w.store.Del(key) })
	},
	"delete": func(w *world, key string) {
		go func() { // it waits for the lane
			lane, err := w.flights.BeginWrite(ctx, key)
			if err != nil {
				w.t.Error(err)
				return
			}
			lane.End(func(bool) bool {
				w.store.Del(key)
				if _, err := w.memory.Memory.Del(ctx, key); err != nil {
					w.t.Error(err)
				}
				return true
			})
		}()
		synctest.Wait()
	},
}

func TestALoadThatIsOvertakenStoresNothing(t *testing.T) {
	for name, change := range changes {
		t.Run(name+" before the write back", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.call("k", "other")
				c.loader = func(context.Context, []string) (map[string]string, error) {
					change(w, "k")
					return map[string]string{"k": "old", "other": "fine"}, nil
				}
				c.run().want("k: value loader old", "other: value loader fine")
				w.wantLevels("k: - -", "other: fine fine")
				w.wantHappened("begin k other, pass k, tell 7 other")
			})
		})
		t.Run(name+" during the write to the remote", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fence.fill = func(ctx context.Context, recs []*record.Record) error {
					change(w, "k")
					return w.fence.Off.Fill(ctx, recs)
				}
				c := w.call("k", "other").loads("k=old", "other=fine")
				c.settle = synctest.Wait
				c.run().want("k: value loader old", "other: value loader fine")
				w.wantHappened("begin k other, remove k, tell 7 other")
				w.wantLevels("k: - -", "other: fine fine")
			})
		})
		t.Run(name+" before the local level is filled", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.store.onSet = func(key string) {
					if key == "other" { // it comes first
						change(w, "k")
					}
				}
				c := w.call("other", "k").loads("k=old", "other=fine")
				c.settle = synctest.Wait
				c.run().want("k: value loader old", "other: value loader fine")
				w.wantHappened("begin other k, tell 7 other")
				remote := "old" // it was there before the other node told of its change
				if name == "delete" {
					remote = "-"
				}
				w.wantLevels("k: - "+remote, "other: fine fine")
			})
		})
	}
}

// What may have been stored by a write that failed is removed, too, and so is that of callers who
// have left.
func TestTheUndoOfAnOvertakenLoad(t *testing.T) {
	for name, tt := range map[string]struct {
		stored record.Result
		undone bool
	}{
		"stored":        {record.Stored, true},
		"failed":        {record.Failed, true},
		"refused":       {record.Refused, false},
		"condition":     {record.NotDue, false},
		"stored, error": {record.Stored, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.call("k").loads("k=old")
				loading, leave := context.WithCancel(ctx)
				w.fence.fill = func(_ context.Context, recs []*record.Record) error {
					changes["invalidation"](w, "k")
					leave()
					recs[0].Stored = tt.stored
					return nil
				}
				removed := false
				w.fence.remove = func(ctx context.Context, recs []*record.Record) error {
					removed = true
					if ctx.Err() != nil {
						t.Error("the undo has the ctx of the callers")
					}
					if end, ok := ctx.Deadline(); !ok || time.Until(end) != undoTimeout {
						t.Error("the undo has no bound")
					}
					recs[0].Stored = record.Stored // it was removed
					if strings.Contains(name, "error") {
						return errBoom
					}
					return nil
				}
				c.reads = func(_ context.Context, recs []*record.Record) { c.Path.Load(loading, &c.Request, recs) }
				c.run().want("k: value loader old")
				if removed != tt.undone {
					t.Errorf("it was removed: %t", removed)
				}
				w.wantLevels("k: - -")
				if w.happened(); tt.undone && c.recs[0].Stored != record.Refused {
					t.Errorf("an undone record is %d", c.recs[0].Stored)
				}
			})
		})
	}
}

// The callers that a result wakes may change the key at once.
func TestLanesAreLeftBeforeRecordsAreResolved(t *testing.T) {
	w := newWorld(t)
	c := w.call("a", "b", "text", "bad").loads("a=1", "text=*", "bad="+unencodable)
	c.resolve = func(rec *record.Record) {
		w.note("resolve %s", rec.Key)
		lane, err := w.flights.BeginWrite(ended(), rec.Key)
		if err != nil {
			t.Errorf("%s: its lane is held: %v", rec.Key, err)
			return
		}
		lane.End(nil)
	}
	c.run()
	w.wantHappened("begin a b text bad, resolve text, resolve bad, tell 7 a b, resolve a, resolve b")
}

// A write that is under way does not hold up a load, and neither does another load.
func TestALoadDoesNotWaitForALane(t *testing.T) {
	t.Run("of a write", func(t *testing.T) {
		w := newWorld(t)
		lane, err := w.flights.BeginWrite(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		c := w.call("k").loads("k=v")
		c.resolve = func(*record.Record) { lane.End(nil) }
		c.run().want("k: value loader v")
		w.wantHappened("begin k, pass k, tell 7 k") // it is newer than the write, as far as this node knows
		w.wantLevels("k: v -")
	})
	t.Run("of a load", func(t *testing.T) {
		for condition, want := range map[record.Condition]string{record.Always: "v -", record.IfAbsent: "- -", record.IfPresent: "- -"} {
			w := newWorld(t)
			first := w.flights.Claim(ctx, []string{"k"})
			if !first.Note(0).BeginFill() {
				t.Fatal("the lane is held")
			}
			w.flights.Part(0) // the second load does not join the first one
			c := w.call("k").loads("k=v")
			c.prepare = func(rec *record.Record) { rec.If = condition }
			c.resolve = func(*record.Record) {
				w.wantLevels("k: " + want)
				first.Note(0).EndFill()
				first.Start(func(context.Context) { first.Resolve(0, record.Outcome{}, nil) })
				if ended, err := first.Wait(ctx); !ended || err != nil {
					t.Error(err)
				}
				first.Leave()
			}
			c.run().want("k: value loader v")
		}
	})
}

// With a remote, the remote decides about a condition. Otherwise the local level does.
func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		name             string
		condition        record.Condition
		local, remote    string // what is there before the load; "" for nothing
		ttl              time.Duration
		withoutRemote    bool
		want             string // what the levels have afterwards
		told, skipsLocal bool
	}{
		{name: "absent", condition: record.IfAbsent, want: "v v", told: true},
		{name: "absent here", condition: record.IfAbsent, remote: "old", want: "- old"},
		{name: "present", condition: record.IfPresent, remote: "old", want: "v v", told: true},
		{name: "present nowhere", condition: record.IfPresent, want: "- -"},
		{name: "present, the remote alone decides", condition: record.IfPresent, local: "old", want: "old -"},
		{name: "absent, the remote alone decides", condition: record.IfAbsent, local: "old", want: "v v", told: true},
		{name: "absent, not for the remote", condition: record.IfAbsent, ttl: -1, remote: "r", want: "v r", told: true},
		{name: "absent here only, not for the remote", condition: record.IfAbsent, ttl: -1, local: "old", want: "old -"},
		{name: "present, not for the remote", condition: record.IfPresent, ttl: -1, local: "old", want: "v -", told: true},
		{name: "present nowhere, not for the remote", condition: record.IfPresent, ttl: -1, remote: "r", want: "- r"},
		{name: "absent, no remote", condition: record.IfAbsent, withoutRemote: true, want: "v -", told: true},
		{name: "present, no remote", condition: record.IfPresent, withoutRemote: true, want: "- -"},
		{name: "present, no remote, local skipped", condition: record.IfPresent, withoutRemote: true, local: "old", want: "- -", told: true, skipsLocal: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.withoutRemote {
				w.connect(true, false)
			}
			if tt.local != "" {
				w.store.Set("k", []byte(tt.local))
			}
			if tt.remote != "" {
				w.memory.Put("k", tt.remote)
			}
			c := w.call("k").loads("k=v")
			c.TTL, c.SkipLocal = tt.ttl, tt.skipsLocal
			c.prepare = func(rec *record.Record) { rec.If = tt.condition }
			c.reads = func(ctx context.Context, recs []*record.Record) { c.Path.Load(ctx, &c.Request, recs) }
			c.run().want("k: value loader v")
			w.wantLevels("k: " + tt.want)
			if told := strings.Contains(w.happened(), "tell"); told != tt.told {
				t.Errorf("told: %t", told)
			}
		})
	}
}

func TestATTLBelowZeroIsNotForTheRemote(t *testing.T) {
	w := newWorld(t)
	w.memory.Put("there", "r")
	c := w.call("there", "a", "absent").loads("a=1")
	c.TTL = -1
	c.run().want("there: value remote r", "a: value loader 1", "absent: not found loader")
	w.wantLevels("there: r r", "a: 1 -", "absent: * -")
	if a, absent := w.store.life("a"), w.store.life("absent"); a != record.NoBound || absent != notFoundExpiry {
		t.Errorf("the value is kept for %s, and the placeholder for %s", a, absent)
	}
	w.wantHappened("tell 7 a absent")
	if n := w.memory.Calls("mset") + w.memory.Calls("set"); n > 0 {
		t.Errorf("the remote was written %d times", n)
	}

	c = w.call("b").loads("b=2")
	w.store.Set("b", []byte("old"))
	c.TTL, c.SkipLocal = -1, true
	c.run().want("b: value loader 2")
	w.wantLevels("b: - -")
}

// The text of a placeholder would be read as not found.
func TestAValueThatReadsAsAPlaceholderIsReturnedAndNotStored(t *testing.T) {
	w := newWorld(t)
	w.store.Set("text", []byte("damaged"))
	w.call("text", "a").loads("text=*", "a=1").run().want("text: value loader *", "a: value loader 1")
	w.wantLevels("text: damaged -", "a: 1 1")
	w.wantHappened("begin text a, tell 7 a")
	w.wantCounts("m*2 lm*2 rm*2 q")
}

func TestAValueThatCannotBeEncoded(t *testing.T) {
	w := newWorld(t)
	c := w.call("bad", "a").loads("bad="+unencodable, "a=1").run()
	c.want("bad: error: bad cannot be encoded", "a: value loader 1")
	if out := c.results["bad"].out; out.Kind != record.Miss {
		t.Errorf("it has an outcome, too: %+v", out)
	}
	w.wantLevels("bad: - -", "a: 1 1")
	w.wantHappened("begin bad a, tell 7 a")
	w.wantCounts("m*2 lm*2 rm*2 q") // the loader has not failed
}

func TestNothingIsToldIfNothingIsKept(t *testing.T) {
	w := newWorld(t)
	w.call("bad", "text").loads("bad="+unencodable, "text=*").run()
	w.wantHappened("begin bad text")
	if n := w.memory.Calls("mset") + w.memory.Calls("set"); n > 0 {
		t.Errorf("the remote was written %d times", n)
	}
}

// An error of an earlier read does not stick to a record that is loaded.
func TestWhatIsLoadedHasNoError(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"value", "absent", "text"} {
		w.store.Set(key, []byte("damaged"))
	}
	w.call("value", "absent", "text").loads("value=v", "text=*").run().want("value: value loader v", "absent: not found loader", "text: value loader *")
}

// The remote counts from when it was written, so a call that takes long leaves less for the copy.
func TestALocalCopyLivesForNoLongerThanTheRemotes(t *testing.T) {
	for name, tt := range map[string]struct {
		ttl, latency, want time.Duration
		levels             string
	}{
		"TTL":           {10 * time.Second, 3 * time.Second, 7 * time.Second, "v v"},
		"default":       {0, 3 * time.Second, remoteExpiry - 3*time.Second, "v v"},
		"expired":       {time.Second, time.Second, 0, "- v"},
		"local only":    {-1, 3 * time.Second, record.NoBound, "v -"},
		"sub-second":    {300 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, "v v"},
		"no time taken": {time.Second, 0, time.Second, "v v"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.store.Set("k", []byte("old"))
				c := w.call("k").loads("k=v")
				c.TTL = tt.ttl
				c.reads = func(ctx context.Context, recs []*record.Record) {
					w.memory.SetLatency(tt.latency) // Memory stores after it
					c.Path.Load(ctx, &c.Request, recs)
				}
				c.run()
				w.wantLevels("k: " + tt.levels)
				if got := w.store.life("k"); got != tt.want {
					t.Errorf("the copy lives for %s, want %s", got, tt.want)
				}
				w.wantHappened(map[bool]string{true: "begin k, tell 7 k", false: "tell 7 k"}[tt.ttl >= 0])
			})
		})
	}
}

func TestWhatAFenceRefusesIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.store.Set("refused", []byte("damaged"))
	w.fence.fill = func(_ context.Context, recs []*record.Record) error {
		for _, rec := range recs {
			rec.Stored = map[string]record.Result{"stored": record.Stored, "refused": record.Refused, "not due": record.NotDue}[rec.Key]
		}
		return errBoom
	}
	c := w.call("stored", "refused", "not due", "failed").loads("stored=1", "refused=2", "not due=3", "failed=4").run()
	c.want("stored: value loader 1", "refused: value loader 2", "not due: value loader 3", "failed: value loader 4")
	w.wantLevels("stored: 1 -", "refused: damaged -", "not due: - -", "failed: 4 -")
	w.wantHappened("begin stored refused not due failed, tell 7 stored failed")
	if got := fmt.Sprint(c.troubles); got != "[writing 4: boom]" {
		t.Errorf("it reported %s", got)
	}
}

// A gap during the load: the value is told and stored in the remote, but the local level could
// have something newer.
func TestAGapDuringALoadLeavesNothingInTheLocalLevel(t *testing.T) {
	w := newWorld(t)
	w.doubted()
	c := w.call("k")
	c.loader = func(context.Context, []string) (map[string]string, error) {
		w.store.Set("k", []byte("somebody's"))
		w.Local.Doubts.Gap()
		return map[string]string{"k": "v"}, nil
	}
	c.run().want("k: value loader v")
	w.wantLevels("k: - v")
	w.call("k").run().want("k: value remote v")
}

func TestWhatIsLoadedAfterAGapIsNotInDoubt(t *testing.T) {
	w := newWorld(t)
	w.doubted()
	w.call("k").loads("k=v").run().want("k: value loader v")
	w.call("k").run().want("k: value local v")
}

func TestDiffersIsAskedBeforeTheWriteBack(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"same", "another", "absent"} {
		w.store.Set(key, []byte("old"))
	}
	w.Differs = func(key string, data []byte) bool {
		w.note("differs %s %s", key, data)
		return !w.Local.Holds(key, data)
	}
	c := w.call("same", "another", "absent", "text").loads("same=old", "another=new", "text=*")
	c.reads = func(ctx context.Context, recs []*record.Record) { c.Path.Load(ctx, &c.Request, recs) }
	c.run()
	w.wantHappened("begin same another absent text, differs same old, differs another new, differs absent *, tell 7 same another absent")
	for i, want := range []bool{false, true, true, false} {
		if rec := c.recs[i]; rec.Changed != want {
			t.Errorf("%s: changed: %t", rec.Key, rec.Changed)
		}
	}
}

// A load that everybody has left may be older than the one that follows it.
func TestAnAbandonedLoadStoresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.call("k").loads("k=abandoned")
		caller, leave := context.WithCancel(ctx)
		loading, done := make(chan struct{}), make(chan struct{})
		s := &abandonedSource{call: c, during: func() { close(loading); <-done }}
		go func() { <-loading; leave() }()
		_, led, err := w.flights.Do(caller, "k", func(ctx context.Context, n flight.Note[record.Outcome]) (record.Outcome, error) {
			rec := &record.Record{Key: "k", Note: n}
			c.Path.Load(ctx, &Request{Source: s}, []*record.Record{rec})
			return rec.Out, rec.Err
		})
		if !led || !errors.Is(err, context.Canceled) {
			t.Fatal(led, err)
		}
		// Another load of the key ends first.
		newer := w.call("k").loads("k=newer")
		newer.left = 1 // the abandoned load still runs
		newer.run().want("k: value loader newer")
		close(done)
		synctest.Wait()
		w.wantLevels("k: newer newer")
		if s.resolved != 1 {
			t.Errorf("the abandoned record was resolved %d times", s.resolved)
		}
		if n := w.flights.Len(); n != 0 {
			t.Errorf("%d keys are left in the table", n)
		}
	})
}

// abandonedSource is a call whose loader goes on for longer than its callers stay.
type abandonedSource struct {
	*call
	during   func()
	resolved int
}

func (s *abandonedSource) Load(ctx context.Context, recs []*record.Record) (func(), error) {
	s.during()
	return s.call.Load(ctx, recs)
}

func (s *abandonedSource) Resolve(*record.Record) { s.resolved++ }

func TestStoreLocally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		time.Sleep(time.Second)
		rec := &record.Record{Key: "k", Data: []byte("v"), Life: w.Lifetimes(5 * time.Second)}
		if !w.StoreLocally(&Request{}, rec, began) {
			t.Error("it did not store")
		}
		if got := w.store.life("k"); got != 4*time.Second {
			t.Errorf("it is kept for %s", got)
		}
		rec.If = record.IfAbsent
		if !w.StoreLocally(&Request{}, rec, began) {
			t.Error("the remote has decided about the condition")
		}
		if w.StoreLocally(&Request{TTL: -1}, rec, began) {
			t.Error("the key is not absent")
		}
		if !w.StoreLocally(&Request{SkipLocal: true}, rec, began) {
			t.Error("it did not remove the old entry")
		}
		w.wantLevels("k: - -")
	})
}

// A store of a batch can be one that has a lifetime for all: each record has its own all the same.
func TestValuesAndPlaceholdersHaveTheirOwnLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.call("a", "absent").loads("a=1")
		c.TTL = 2 * time.Hour
		c.run()
		for key, want := range map[string]time.Duration{"a": 2 * time.Hour, "absent": notFoundExpiry} {
			if got, _ := w.memory.TTL(key); got != want || w.store.life(key) != want {
				t.Errorf("%s lives for %s in the remote and for %s in the local level, want %s", key, got, w.store.life(key), want)
			}
		}
	})
}
