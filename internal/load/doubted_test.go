package load

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

const slow = 3 * time.Second

// slowDoubt is a world whose entries "a" and "b" are in doubt, and whose remote takes three seconds for each read.
func slowDoubt(t *testing.T) *world {
	w := newWorld(t)
	w.DoubtTimeout = time.Second
	for _, key := range []string{"a", "b"} {
		w.store.Set(key, []byte("old "+key))
		w.memory.Put(key, "new "+key)
	}
	w.memory.Put("c", "new c")
	w.doubted()
	w.memory.SetFault(func(_ context.Context, op string, _ ...string) error {
		if op == "get" || op == "mget" {
			time.Sleep(slow)
		}
		return nil
	})
	return w
}

func TestADoubtedEntryIsServedWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slowDoubt(t)
		began := time.Now()
		c := w.call("a")
		c.left = 1 // the late answer
		c.run().want("a: value local old a")
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
		w.wantCounts("h lh lm rm")
		if !slices.Equal(c.troubles, []string{"reading 1: cache: the remote does not answer"}) {
			t.Errorf("it reported %q", c.troubles)
		}
		c = w.call("b")
		c.left = 1
		if c.run().want("b: value local old b"); time.Since(began) != time.Second {
			t.Errorf("the other took %s", time.Since(began)-time.Second)
		}
		w.Remote.Wait(time.Hour)
		w.wantLevels("a: new a new a", "b: old b new b")
		if n := w.flights.Len(); n != 0 {
			t.Errorf("%d keys are left in the table", n)
		}
		w.memory.SetFault(nil)
		w.call("b").run().want("b: value remote new b") // the remote has answered
	})
}

// Those who wait for an entry in doubt get it before the batch has its other keys.
func TestDoubtedEntriesOfABatchAreServedBeforeTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slowDoubt(t)
		began := time.Now()
		at := make(map[string]time.Duration)
		c := w.call("a", "b", "c", "d").loads("d=1")
		c.resolve = func(rec *record.Record) { at[rec.Key] = time.Since(began) }
		c.run().want("a: value local old a", "b: value local old b", "c: value remote new c", "d: value loader 1")
		if at["a"] != time.Second || at["b"] != time.Second || at["c"] != slow || at["d"] != slow {
			t.Errorf("they end after %v", at)
		}
		w.wantLevels("a: new a new a", "b: new b new b", "c: new c new c", "d: 1 1")
	})
}

// What is in doubt and cannot be decoded is read like a key that the local level does not have.
func TestADoubtedEntryThatCannotBeDecodedWaitsForTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slowDoubt(t)
		w.store.Set("a", []byte("damaged"))
		w.call("a", "b").run().want("a: value remote new a", "b: value local old b")
	})
}

// Only one call asks, whether it is about one key or many.
func TestWhileOneCheckHangsOthersAreServedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slowDoubt(t)
		first := w.call("a")
		first.left = 1
		first.run()
		asked := w.memory.Calls("get") + w.memory.Calls("mget")
		began := time.Now()
		c := w.call("b")
		c.left = 1
		if c.run().want("b: value local old b"); time.Since(began) != 0 {
			t.Errorf("it took %s", time.Since(began))
		}
		if got := w.memory.Calls("get") + w.memory.Calls("mget"); got != asked {
			t.Errorf("%d more calls", got-asked)
		}
		w.call("b", "c").run().want("b: value local old b", "c: value remote new c") // c has no copy
		w.Remote.Wait(time.Hour)
	})
}

// The callers leave before the remote is known to be silent.
func TestACheckWhoseCallersLeaveSaysNothingOfTheRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := slowDoubt(t)
		brief, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		began := time.Now()
		c := w.call("a")
		c.reads = func(_ context.Context, recs []*record.Record) { w.Path.Read(brief, &c.Request, recs) }
		if c.run().want("a: value local old a"); time.Since(began) != time.Millisecond {
			t.Errorf("it took %s", time.Since(began))
		}
		w.memory.SetFault(nil)
		w.call("b").run().want("b: value remote new b")
		w.Remote.Wait(time.Hour)
	})
}
