package flight

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// finds returns a look that takes d, unless its ctx ends first.
func finds(d time.Duration, v string, found bool, err error) func(context.Context, Note[string]) (string, bool, error) {
	return func(ctx context.Context, _ Note[string]) (string, bool, error) {
		select {
		case <-time.After(d):
			return v, found, err
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
	}
}

func TestALookIsShared(t *testing.T) {
	errBoom := errors.New("boom")
	tests := map[string]struct {
		look     func(context.Context, Note[string]) (string, bool, error)
		want     string
		wantErr  error
		wantRuns int32
		took     time.Duration
	}{
		"found":     {finds(time.Second, "found", true, nil), "found", nil, 0, time.Second},
		"not found": {finds(time.Second, "", false, nil), "loaded", nil, 1, 2 * time.Second},
		"error":     {finds(time.Second, "", false, errBoom), "", errBoom, 0, time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := NewTable[string]()
				var runs, leaders atomic.Int32
				var wg sync.WaitGroup
				callers := 7
				if tt.wantRuns > 0 {
					callers = 13 // some join while it loads
				}
				for i := range callers {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * 150 * time.Millisecond)
						v, led, err := table.LookAndDo(bg, "k", tt.look, slow(time.Second, "loaded", &runs))
						if v != tt.want || !errors.Is(err, tt.wantErr) {
							t.Errorf("caller %d got %q, %v", i, v, err)
						}
						if led {
							leaders.Add(1)
						}
					})
				}
				start := time.Now()
				wg.Wait()
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				if runs.Load() != tt.wantRuns || leaders.Load() != 1 {
					t.Errorf("%d runs by %d leaders", runs.Load(), leaders.Load())
				}
				if n := table.Len(); n != 0 {
					t.Errorf("%d entries are left", n)
				}
			})
		})
	}
}

// The leader looks with its own ctx. When that ends, the callers that have joined get its error.
func TestALookEndsWithItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable[string]()
		leader, cancel := context.WithCancel(bg)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, led, err := table.LookAndDo(leader, "k", finds(time.Hour, "", true, nil), slow(0, "", nil))
			if !led || !errors.Is(err, context.Canceled) {
				t.Errorf("the leader got %v, %v", led, err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			_, led, err := table.Do(bg, "k", nil)
			if led || !errors.Is(err, context.Canceled) {
				t.Errorf("the caller that joined got %v, %v", led, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if v, led, err := table.Do(bg, "k", slow(0, "v", nil)); v != "v" || !led || err != nil {
			t.Errorf("afterwards: %q, %v, %v", v, led, err)
		}
	})
}

func TestALookThatPanics(t *testing.T) {
	table := NewTable[string]()
	_, _, err := table.LookAndDo(bg, "k", func(context.Context, Note[string]) (string, bool, error) { panic("boom") }, nil)
	var p *PanicError
	if !errors.As(err, &p) || p.Value != "boom" {
		t.Errorf("got %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = table.LookAndDo(bg, "k", func(context.Context, Note[string]) (string, bool, error) {
			runtime.Goexit()
			return "", false, nil
		}, nil)
	}()
	<-done
	if n := table.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// A write comes between the look and the load. The load goes on, but nobody joins it any more, and
// another load may begin.
func TestAWriteBetweenLookAndLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable[string]()
		var wg sync.WaitGroup
		wg.Go(func() {
			v, led, err := table.LookAndDo(bg, "k", finds(2*time.Second, "", false, nil), func(_ context.Context, n Note[string]) (string, error) {
				time.Sleep(2 * time.Second)
				if n.FillLoaded(func() {}) {
					t.Error("the overtaken load fills the local store")
				}
				return "old", nil
			})
			if v != "old" || !led || err != nil {
				t.Errorf("the leader got %q, %v, %v", v, led, err)
			}
		})
		synctest.Wait()
		wg.Go(func() { // joins the look
			if v, led, err := table.Do(bg, "k", nil); v != "old" || led || err != nil {
				t.Errorf("the caller that joined got %q, %v, %v", v, led, err)
			}
		})
		time.Sleep(time.Second)
		table.Invalidate("k", func() {})
		wg.Go(func() {
			v, led, err := table.Do(bg, "k", slow(2*time.Second, "new", nil))
			if v != "new" || !led || err != nil {
				t.Errorf("the newer got %q, %v, %v", v, led, err)
			}
		})
		wg.Wait()
		if n := table.Len(); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// A leader that leaves after its look does not end the load for the callers that have joined.
func TestALeaderLeavesAfterItsLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable[string]()
		leader, cancel := context.WithTimeout(bg, 2*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := table.LookAndDo(leader, "k", finds(time.Second, "", false, nil), func(ctx context.Context, _ Note[string]) (string, error) {
				select {
				case <-time.After(5 * time.Second):
					return "v", nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the leader got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, _, err := table.Do(bg, "k", nil); v != "v" || err != nil {
				t.Errorf("the caller that joined got %q, %v", v, err)
			}
		})
		wg.Wait()
	})
}
