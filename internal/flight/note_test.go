package flight

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

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
							t.Errorf("a caller from before the write got %q, %v", v, err)
						}
					})
				}
				time.Sleep(time.Second)
				write(table)
				v, led, err := table.Do(bg, "k", func(_ context.Context, n Note[string]) (string, error) {
					if !n.FillLoaded(func() {}) || !n.BeginFill() {
						t.Error("the load from after the write may not fill")
					} else {
						n.EndFill()
					}
					return "new", nil
				})
				if v != "new" || !led || err != nil {
					t.Errorf("a caller from after the write got %q, led %v, %v", v, led, err)
				}
				wg.Wait()
				if filled {
					t.Error("the load from before the write may fill")
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
		begin(Current, true) // the write before changed nothing
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

// A read that goes on when its load has ended is void after a change, and not by the end of the load.
func TestHold(t *testing.T) {
	table := NewTable[string]()
	var held Note[string]
	if _, _, err := table.Do(context.Background(), "k", func(_ context.Context, n Note[string]) (string, error) {
		held = n.Hold()
		return "", nil
	}); err != nil {
		t.Fatal(err)
	}
	if table.Len() != 1 || held.Overtaken() || !held.FillRead(func() {}) {
		t.Error("it is void when the load has ended")
	}
	second := held.Hold()
	table.Invalidate("k", func() {})
	if !held.Overtaken() || second.FillRead(func() {}) {
		t.Error("it is not void after a change")
	}
	held.Release()
	if second.Release(); table.Len() != 0 {
		t.Errorf("%d keys are left", table.Len())
	}
}
