package flight

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// bubble runs test in a bubble of synctest, on a table that must be empty in the end.
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

// slow returns a loader that takes d, unless its ctx ends first. It counts its runs, if runs is not
// nil.
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

// All methods at once, for the race detector. The table must be empty afterwards.
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
