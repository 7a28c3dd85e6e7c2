package flight

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// bubble runs test in a bubble, on a table that must be empty at its end.
func bubble(t *testing.T, test func(t *testing.T, table *Table[string])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		table := NewTable[string]()
		test(t, table)
		synctest.Wait()
		if n := table.Len(); n != 0 {
			t.Errorf("%d entries are left in the table", n)
		}
	})
}

// slow returns a loader that takes d, heeds its ctx and counts its runs.
func slow(d time.Duration, v string, runs *atomic.Int32) func(context.Context, Note[string]) (string, error) {
	return func(ctx context.Context, _ Note[string]) (string, error) {
		if runs != nil {
			runs.Add(1)
		}
		select {
		case <-time.After(d):
			return v, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func TestConcurrentCallersShareOneLoad(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		var runs, leaders atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				v, led, err := table.Do(bg, "k", slow(time.Second, "v", &runs))
				if v != "v" || err != nil {
					t.Errorf("got %q, %v", v, err)
				}
				if led {
					leaders.Add(1)
				}
			})
		}
		wg.Wait()
		if runs.Load() != 1 || leaders.Load() != 1 {
			t.Errorf("%d loads, %d leaders", runs.Load(), leaders.Load())
		}
		if _, _, err := table.Do(bg, "k", slow(0, "v", &runs)); err != nil || runs.Load() != 2 {
			t.Errorf("a later caller: %v, %d loads", err, runs.Load())
		}
	})
}

func TestErrorsAreShared(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		boom := errors.New("boom")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, _, err := table.Do(bg, "k", func(context.Context, Note[string]) (string, error) {
					time.Sleep(time.Second)
					return "", boom
				})
				if !errors.Is(err, boom) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestCallersLeaveOnTheirOwnContext(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		first, cancelFirst := context.WithCancel(context.WithValue(bg, loadTestKey{}, "first's"))
		var seen any
		var wg sync.WaitGroup
		wg.Go(func() { // the leader leaves after 1s
			start := time.Now()
			_, led, err := table.Do(first, "k", func(ctx context.Context, n Note[string]) (string, error) {
				seen = ctx.Value(loadTestKey{})
				return slow(time.Minute, "v", nil)(ctx, n)
			})
			if !led || !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
				t.Errorf("the leader: led %v, %v after %s", led, err, time.Since(start))
			}
		})
		synctest.Wait()
		wg.Go(func() { // a joiner with a deadline leaves after 2s
			ctx, cancel := context.WithTimeout(bg, 2*time.Second)
			defer cancel()
			start := time.Now()
			if _, led, err := table.Do(ctx, "k", nil); led || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
				t.Errorf("the joiner with a deadline: %v after %s", err, time.Since(start))
			}
		})
		wg.Go(func() { // a joiner stays
			if v, _, err := table.Do(bg, "k", nil); v != "v" || err != nil {
				t.Errorf("the joiner who stays: %q, %v", v, err)
			}
		})
		time.Sleep(time.Second)
		cancelFirst()
		wg.Wait()
		if seen != "first's" {
			t.Errorf("the load saw the context value %v, want the first caller's", seen)
		}
	})
}

type loadTestKey struct{}

func TestTheLoadIsCancelledWhenNobodyIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		cause := make(chan error, 1)
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(bg, time.Duration(i+1)*time.Second)
				defer cancel()
				_, _, _ = table.Do(ctx, "k", func(ctx context.Context, _ Note[string]) (string, error) {
					<-ctx.Done()
					cause <- context.Cause(ctx)
					return "", ctx.Err()
				})
			})
			synctest.Wait()
		}
		start := time.Now()
		if err := <-cause; !errors.Is(err, errAbandoned) || time.Since(start) != 2*time.Second {
			t.Errorf("cancelled with %v after %s, want after the second caller left", err, time.Since(start))
		}
		wg.Wait()
	})
}

func TestNobodyJoinsAnAbandonedLoad(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		ctx, cancel := context.WithCancel(bg)
		end := make(chan struct{})
		go cancel()
		_, _, err := table.Do(ctx, "k", func(context.Context, Note[string]) (string, error) {
			<-end // does not heed its context
			return "old", nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		v, led, err := table.Do(bg, "k", slow(time.Second, "new", nil))
		if v != "new" || !led || err != nil {
			t.Errorf("got %q, led %v, %v", v, led, err)
		}
		close(end)
	})
}

func TestACancelledCallerStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		ctx, cancel := context.WithCancel(bg)
		cancel()
		var runs atomic.Int32
		if _, _, err := table.Do(ctx, "k", slow(0, "v", &runs)); !errors.Is(err, context.Canceled) || runs.Load() != 0 {
			t.Errorf("%v, %d loads", err, runs.Load())
		}
	})
}

func TestPanicsReachEveryCaller(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		cause := errors.New("the cause")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, _, err := table.Do(bg, "k", func(context.Context, Note[string]) (string, error) {
					time.Sleep(time.Second)
					panic(cause)
				})
				var p *PanicError
				if !errors.As(err, &p) || !errors.Is(err, cause) || !strings.Contains(err.Error(), "the cause") || !strings.Contains(err.Error(), "flight_test.go") {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if v, _, err := table.Do(bg, "k", slow(0, "v", nil)); v != "v" || err != nil {
			t.Errorf("after the panic: %q, %v", v, err)
		}
	})
}

func TestRunTurnsAPanicIntoAnError(t *testing.T) {
	_, err := Run(bg, func(context.Context) (int, error) { panic("boom") })
	var p *PanicError
	if !errors.As(err, &p) || p.Value != "boom" || !strings.Contains(string(p.Stack), "flight_test.go") {
		t.Errorf("got %v", err)
	}
}

func TestGoexitReachesEveryCaller(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, _, err := table.Do(bg, "k", func(context.Context, Note[string]) (string, error) {
					time.Sleep(time.Second)
					runtime.Goexit()
					return "", nil
				})
				if !errors.Is(err, ErrGoexit) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if v, _, err := table.Do(bg, "k", slow(0, "v", nil)); v != "v" || err != nil {
			t.Errorf("afterwards: %q, %v", v, err)
		}
	})
}

// Loaders that wait for themselves: with the ctx they were given, and with another.
func TestLoadersThatWaitForThemselvesGetAnError(t *testing.T) {
	for _, with := range []string{"its ctx", "another ctx"} {
		choose := func(own context.Context) context.Context {
			if with == "its ctx" {
				return own
			}
			return bg
		}
		// reads returns a loader that reads key with then.
		type loader = func(context.Context, Note[string]) (string, error)
		reads := func(table *Table[string], key string, then loader) loader {
			return func(ctx context.Context, _ Note[string]) (string, error) {
				return Run(ctx, func(ctx context.Context) (string, error) {
					time.Sleep(time.Second)
					v, _, err := table.Do(choose(ctx), key, then)
					return v, err
				})
			}
		}
		t.Run("the same key, "+with, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				_, _, err := table.Do(bg, "a", reads(table, "a", nil))
				if !errors.Is(err, ErrCycle) || !strings.Contains(err.Error(), `"a"`) {
					t.Errorf("got %v", err)
				}
			})
		})
		t.Run("over another key, "+with, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				_, _, err := table.Do(bg, "a", reads(table, "b", reads(table, "a", nil)))
				if !errors.Is(err, ErrCycle) {
					t.Errorf("got %v", err)
				}
			})
		})
		t.Run("two loaders crosswise, "+with, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				var wg sync.WaitGroup
				var failed atomic.Int32
				for _, k := range [][2]string{{"a", "b"}, {"b", "a"}} {
					wg.Go(func() {
						if _, _, err := table.Do(bg, k[0], reads(table, k[1], nil)); errors.Is(err, ErrCycle) {
							failed.Add(1)
						}
					})
				}
				wg.Wait()
				if failed.Load() == 0 {
					t.Error("neither got an error")
				}
			})
		})
		t.Run("a batch and a single read crosswise, "+with, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				b := table.Claim(bg, []string{"a", "c"})
				b.Start(func(ctx context.Context) {
					v, err := Run(ctx, func(ctx context.Context) (string, error) {
						time.Sleep(time.Second)
						v, _, err := table.Do(choose(ctx), "b", nil)
						return v, err
					})
					b.Resolve(0, v, err)
					b.Resolve(1, v, err)
				})
				_, _, err := table.Do(bg, "b", reads(table, "c", nil))
				if !errors.Is(err, ErrCycle) {
					t.Errorf("got %v", err)
				}
				if _, err := b.Wait(bg); err != nil {
					t.Error(err)
				}
				b.Leave()
			})
		})
		t.Run("a chain without a circle is fine, "+with, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				v, _, err := table.Do(bg, "a", reads(table, "b", reads(table, "c", slow(time.Second, "v", nil))))
				if v != "v" || err != nil {
					t.Errorf("got %q, %v", v, err)
				}
			})
		})
	}
}

func TestAReaderAfterAWriteDoesNotJoinAnOlderLoad(t *testing.T) {
	writes := map[string]func(table *Table[string]){
		"write": func(table *Table[string]) {
			w, err := table.BeginWrite(bg, "k")
			if err != nil {
				t.Fatal(err)
			}
			w.End(func(bool) bool { return true })
		},
		"invalidation": func(table *Table[string]) { table.Invalidate("k", func() {}) },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				var filled bool
				var wg sync.WaitGroup
				old := func(ctx context.Context, n Note[string]) (string, error) {
					time.Sleep(2 * time.Second)
					filled = n.FillLoaded(func() {}) || n.BeginFill()
					return "old", nil
				}
				for range 2 {
					wg.Go(func() {
						if v, _, err := table.Do(bg, "k", old); v != "old" || err != nil {
							t.Errorf("who began before got %q, %v", v, err)
						}
					})
				}
				time.Sleep(time.Second)
				write(table)
				v, led, err := table.Do(bg, "k", func(_ context.Context, n Note[string]) (string, error) {
					if !n.FillLoaded(func() {}) || !n.BeginFill() {
						t.Error("the load after the write may not fill")
					} else {
						n.EndFill()
					}
					return "new", nil
				})
				if v != "new" || !led || err != nil {
					t.Errorf("who began after got %q, led %v, %v", v, led, err)
				}
				wg.Wait()
				if filled {
					t.Error("the load before the write may fill")
				}
			})
		})
	}
}

func TestAWriteWaitsForAFillUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		n := table.Note("k")
		defer n.Release()
		if !n.BeginFill() {
			t.Fatal("the fill may not begin")
		}
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			n.EndFill()
		}()
		w, err := table.BeginWrite(bg, "k")
		if err != nil || time.Since(start) != time.Second {
			t.Errorf("the write began after %s, %v", time.Since(start), err)
		}
		w.End(func(overtaken bool) bool {
			if overtaken {
				t.Error("the only write is told that it was overtaken")
			}
			return true
		})
	})
}

func TestAWriteWaitsNoLongerThanItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		first, err := table.BeginWrite(bg, "k")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if _, err := table.BeginWrite(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second write: %v", err)
		}
		first.End(nil)
	})
}

func TestAFillDoesNotWaitForAWrite(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		w, err := table.BeginWrite(bg, "k")
		if err != nil {
			t.Fatal(err)
		}
		n := table.Note("k") // began during the write: may have read the old value
		if n.BeginFill() {
			t.Error("a fill began during a write")
		}
		w.End(func(bool) bool { return true })
		if n.BeginFill() || n.FillLoaded(func() {}) {
			t.Error("a read that began during a write may fill after it")
		}
		n.Release()
	})
}

func TestAWriteFromANoteGivesWayToLaterWrites(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		n := table.Note("k")
		begin := func(want Precedence, changes bool) {
			t.Helper()
			w, got, err := n.BeginWrite(bg)
			if got != want || err != nil {
				t.Errorf("%d, %v, want %d", got, err, want)
			}
			w.End(func(bool) bool { return changes })
		}
		write := func(changes bool) {
			w, err := table.BeginWrite(bg, "k")
			if err != nil {
				t.Fatal(err)
			}
			w.End(func(bool) bool { return changes })
		}
		begin(Current, false)
		begin(Current, true) // the one before changed nothing
		begin(Uncertain, true)
		n.Release()
		n = table.Note("k")
		write(false) // refused, or failed
		begin(Current, false)
		table.Invalidate("k", func() {})
		begin(Uncertain, false)
		write(true)
		begin(Superseded, false)
		n.Release()
	})
}

func TestConcurrentWritesLeaveTheLastValue(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				w, err := table.BeginWrite(bg, "k")
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				w.End(func(overtaken bool) bool {
					if overtaken {
						t.Error("a write was told that it was overtaken by one that waits for it")
					}
					return true
				})
			})
		}
		wg.Wait()
	})
}

func TestAnInvalidationDuringAWriteIsNotLost(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		w, err := table.BeginWrite(bg, "k")
		if err != nil {
			t.Fatal(err)
		}
		table.Invalidate("k", func() {})
		w.End(func(overtaken bool) bool {
			if !overtaken {
				t.Error("the write may leave its value although an invalidation came in")
			}
			return true
		})
	})
}

func TestOverlappingBatchesLoadEachKeyOnce(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		const batches, size, keys = 32, 100, 200
		var mu sync.Mutex
		loaded := map[string]int{}
		var wg sync.WaitGroup
		for range batches {
			wg.Go(func() {
				var ask []string
				for _, i := range rand.Perm(keys)[:size] {
					ask = append(ask, fmt.Sprint("k", i))
				}
				b := table.Claim(bg, ask)
				defer b.Leave()
				if len(b.Owned) > 0 {
					b.Start(func(context.Context) {
						time.Sleep(time.Second)
						mu.Lock()
						defer mu.Unlock()
						for _, i := range b.Owned {
							loaded[ask[i]]++
							b.Resolve(i, "of "+ask[i], nil)
						}
					})
					if _, err := b.Wait(bg); err != nil {
						t.Error(err)
					}
				}
				for n, i := range b.Joined {
					if v, err := b.WaitJoined(bg, n); v != "of "+ask[i] || err != nil {
						t.Errorf("%s is %q, %v", ask[i], v, err)
					}
				}
			})
		}
		wg.Wait()
		for k, n := range loaded {
			if n != 1 {
				t.Errorf("%s was loaded %d times", k, n)
			}
		}
	})
}

func TestABatchAndASingleReadShare(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		var wg sync.WaitGroup
		var runs atomic.Int32
		wg.Go(func() { _, _, _ = table.Do(bg, "single", slow(3*time.Second, "s", &runs)) })
		synctest.Wait()
		b := table.Claim(bg, []string{"early", "single", "late", "early"})
		if fmt.Sprint(b.Owned, b.Joined) != "[0 2] [1 3]" {
			t.Fatalf("owned %v, joined %v", b.Owned, b.Joined)
		}
		start := time.Now()
		b.Start(func(context.Context) {
			time.Sleep(time.Second)
			b.Resolve(0, "e", nil)
			time.Sleep(time.Second)
			b.Resolve(2, "l", nil)
		})
		wg.Go(func() {
			if v, led, err := table.Do(bg, "early", nil); v != "e" || led || err != nil || time.Since(start) != time.Second {
				t.Errorf("a single read of a key resolved early: %q, led %v, %v after %s", v, led, err, time.Since(start))
			}
		})
		if ended, err := b.Wait(bg); !ended || err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("the batch: %v after %s", err, time.Since(start))
		}
		if v, err := b.WaitJoined(bg, 0); v != "s" || err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("the joined key: %q, %v after %s", v, err, time.Since(start))
		}
		if v, err := b.WaitJoined(bg, 1); v != "e" || err != nil {
			t.Errorf("the key that was there twice: %q, %v", v, err)
		}
		b.Leave()
		wg.Wait()
		if runs.Load() != 1 {
			t.Errorf("%d loads of the single key", runs.Load())
		}
	})
}

func TestABatchThatFailsToResolve(t *testing.T) {
	endings := map[string]struct {
		run  func()
		want func(error) bool
	}{
		"panics":  {func() { panic("boom") }, func(err error) bool { var p *PanicError; return errors.As(err, &p) }},
		"exits":   {runtime.Goexit, func(err error) bool { return errors.Is(err, ErrGoexit) }},
		"forgets": {func() {}, func(err error) bool { return errors.Is(err, errUnresolved) }},
	}
	for name, tt := range endings {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				b := table.Claim(bg, []string{"a", "b"})
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, _, err := table.Do(bg, "b", nil); !tt.want(err) {
						t.Errorf("a joiner got %v", err)
					}
				})
				synctest.Wait()
				b.Start(func(context.Context) {
					b.Resolve(0, "v", nil)
					tt.run()
				})
				if _, err := b.Wait(bg); !tt.want(err) {
					t.Errorf("the claimer got %v", err)
				}
				b.Leave()
				wg.Wait()
			})
		})
	}
}

func TestABatchLivesAsLongAsAnyOfItsCallers(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		ctx, cancel := context.WithCancel(bg)
		b := table.Claim(ctx, []string{"a", "b"})
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(bg, 2*time.Second)
			defer cancel()
			_, _, _ = table.Do(ctx, "b", nil)
		})
		synctest.Wait()
		start := time.Now()
		ended := make(chan time.Duration, 1)
		b.Start(func(ctx context.Context) {
			<-ctx.Done()
			ended <- time.Since(start)
		})
		time.AfterFunc(time.Second, cancel)
		if ended, err := b.Wait(ctx); ended || !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("the claimer: %v after %s", err, time.Since(start))
		}
		b.Leave()
		if d := <-ended; d != 2*time.Second {
			t.Errorf("the load was cancelled after %s, want when the joiner left", d)
		}
		wg.Wait()
	})
}

func TestAnAbandonedLoadFillsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		filled := make(chan bool, 1)
		_, _, err := table.Do(ctx, "k", func(_ context.Context, n Note[string]) (string, error) {
			time.Sleep(time.Minute) // whatever its ctx does
			filled <- n.BeginFill() || n.FillLoaded(func() {}) || n.FillRead(func() {})
			return "old", nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if table.Wait(time.Second) {
			t.Error("an abandoned load that runs is not waited for")
		}
		if !table.Wait(time.Second) {
			t.Error("a load that was waited for in vain is waited for again")
		}
		if <-filled {
			t.Error("an abandoned load may fill")
		}
	})
}

func TestWaitIsForTheLoadsThatHaveBegun(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		stop := time.Now().Add(time.Minute)
		for i := range 3 { // loads follow each other without a gap
			go func() {
				for time.Now().Before(stop) {
					_, _, _ = table.Do(bg, fmt.Sprint(i), slow(time.Duration(i+1)*time.Second, "v", nil))
				}
			}()
		}
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		if !table.Wait(10*time.Second) || time.Since(start) != 2500*time.Millisecond {
			t.Errorf("waited for %s", time.Since(start))
		}
		time.Sleep(2 * time.Minute)
		if !table.Wait(0) {
			t.Error("nothing runs, and Wait says otherwise")
		}
	})
}

func TestALoadsFillOvertakesReads(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		read := table.Note("k")
		load := table.Note("k")
		if !load.FillLoaded(func() {}) {
			t.Error("the load may not fill")
		}
		if read.FillRead(func() {}) {
			t.Error("an older read may fill after the load")
		}
		if !read.FillLoaded(func() {}) {
			t.Error("a load may not fill after another")
		}
		read.Release()
		load.Release()
	})
}

func TestLoadsInTheBackgroundAreMarked(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		go func() { _, _, _ = table.DoInBackground(bg, "a", slow(time.Second, "v", nil)) }()
		go func() { _, _, _ = table.Do(bg, "b", slow(time.Second, "v", nil)) }()
		synctest.Wait()
		if !table.InBackground("a") || table.InBackground("b") || table.InBackground("c") {
			t.Error("the marks are wrong")
		}
		batch := table.Claim(bg, []string{"b", "a"})
		if fmt.Sprint(batch.Joined, batch.Background) != "[0 1] [1]" {
			t.Errorf("joined %v, in the background %v", batch.Joined, batch.Background)
		}
		if v, err := batch.WaitJoined(bg, 1); v != "v" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		batch.Leave()
	})
}

// Everything at once, for the race detector; the table has to be empty afterwards.
func TestEverythingAtOnce(t *testing.T) {
	table := NewTable[string]()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				key := func() string { return fmt.Sprint("k", rand.IntN(5)) }
				ctx, cancel := context.WithCancel(bg)
				if rand.IntN(4) == 0 {
					go cancel()
				}
				switch (g + i) % 5 {
				case 0, 1:
					_, _, _ = table.Do(ctx, key(), func(_ context.Context, n Note[string]) (string, error) {
						if n.BeginFill() {
							runtime.Gosched()
							n.EndFill()
						}
						n.FillLoaded(func() {})
						if rand.IntN(10) == 0 {
							panic("boom")
						}
						return "v", nil
					})
				case 2:
					b := table.Claim(ctx, []string{key(), key(), key()})
					if len(b.Owned) > 0 {
						b.Start(func(context.Context) {
							for _, i := range b.Owned {
								b.Note(i).FillLoaded(func() {})
								b.Resolve(i, "v", nil)
							}
						})
						_, _ = b.Wait(ctx)
					}
					for n := range b.Joined {
						if _, err := b.WaitJoined(ctx, n); err != nil {
							break
						}
					}
					b.Leave()
				case 3:
					if w, err := table.BeginWrite(ctx, key()); err == nil {
						runtime.Gosched()
						w.End(func(bool) bool { return true })
					}
				case 4:
					table.Invalidate(key(), func() {})
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for range 1000 {
		if table.Len() == 0 {
			return
		}
		time.Sleep(time.Millisecond) // abandoned loads are ending
	}
	t.Errorf("%d entries are left in the table", table.Len())
}

func BenchmarkDo(b *testing.B) {
	table := NewTable[string]()
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = table.Do(bg, "k", func(context.Context, Note[string]) (string, error) { return "v", nil })
	}
}

func BenchmarkClaim100(b *testing.B) {
	table := NewTable[string]()
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		batch := table.Claim(bg, keys)
		batch.Start(func(context.Context) {
			for _, i := range batch.Owned {
				batch.Resolve(i, "v", nil)
			}
		})
		_, _ = batch.Wait(bg)
		batch.Leave()
	}
}
