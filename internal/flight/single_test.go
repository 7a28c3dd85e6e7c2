package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

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
				t.Errorf("the joiner that stays: %q, %v", v, err)
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
			<-end // it ignores its ctx
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

func BenchmarkDo(b *testing.B) {
	table := NewTable[string]()
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = table.Do(bg, "k", func(context.Context, Note[string]) (string, error) { return "v", nil })
	}
}
