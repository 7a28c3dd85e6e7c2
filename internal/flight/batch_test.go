package flight

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

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
