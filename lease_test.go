package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

const (
	leaseTTL = 3 * time.Second
	// lookAgain is the longest pause, with its spread, between two looks of a node that waits for another one.
	lookAgain = 100 * time.Millisecond
)

// leasedFleet makes n nodes with leases, in a bubble; linked says whether they hear of each
// other.
func leasedFleet(t testing.TB, n int, linked bool, opts ...cache.Option) []*node {
	opts = append([]cache.Option{cache.WithLease(leaseTTL), cache.WithSeparatorDisabled(true)}, opts...)
	if linked {
		nodes, _ := fleetOf(t, n, opts...)
		return nodes
	}
	m := remotetest.NewMemory()
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = bothOn(t, m, opts...)
	}
	return nodes
}

// slow is a loader that takes a second and counts its calls.
func slow(calls *atomic.Int64, v any, err error) cache.ItemOption {
	return cache.Do(func(context.Context) (any, error) {
		calls.Add(1)
		time.Sleep(time.Second)
		return v, err
	})
}

func TestOneNodeLoadsForAll(t *testing.T) {
	for _, linked := range []bool{false, true} {
		t.Run(fmt.Sprintf("linked=%v", linked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := leasedFleet(t, 5, linked)
				var calls atomic.Int64
				began := time.Now()
				var wg sync.WaitGroup
				for _, n := range nodes {
					for range 3 {
						wg.Go(func() {
							if s, err := onceString(n, "k", slow(&calls, "v", nil)); s != "v" || err != nil {
								t.Errorf("%q, %v", s, err)
							}
						})
					}
				}
				wg.Wait()
				if n := calls.Load(); n != 1 {
					t.Errorf("%d loads", n)
				}
				took, most := time.Since(began), time.Second
				if !linked {
					most += lookAgain
				}
				if took > most {
					t.Errorf("it took %s, want %s at most", took, most)
				}
				for i, n := range nodes {
					if got := n.inLocal("k"); got != "v" {
						t.Errorf("node %d has %q in local", i, got)
					}
				}
			})
		})
	}
}

func TestAPlaceholderCountsAsLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 2, false)
		var calls atomic.Int64
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if _, err := onceString(n, "k", slow(&calls, nil, cache.ErrNotFound)); !errors.Is(err, cache.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d loads", n)
		}
	})
}

func TestTheFailureOfALoadReachesThoseWhoWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 4, false)
		var calls, own, elsewhere atomic.Int64
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				switch _, err := onceString(n, "k", slow(&calls, nil, errBoom)); {
				case errors.Is(err, errBoom):
					own.Add(1)
				case errors.Is(err, cache.ErrLoadElsewhere) && strings.Contains(err.Error(), "boom"):
					elsewhere.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if calls.Load() != 1 || own.Load() != 1 || elsewhere.Load() != 3 {
			t.Errorf("%d loads, %d own failures, %d of another node", calls.Load(), own.Load(), elsewhere.Load())
		}
		// A later caller loads: failures are not cached.
		if s, err := onceString(nodes[2], "k", returns("v", nil)); s != "v" || err != nil {
			t.Errorf("then: %q, %v", s, err)
		}
	})
}

func TestTheLeaseOfADeadNodeRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 2, false)
		answers, err := nodes[0].remote.AcquireLeases(ctx, leaseTTL, remote.LeaseAsk{Key: "k", Token: "dead"})
		if err != nil || answers[0].State != remote.LeaseWon {
			t.Fatal(answers, err)
		}
		pass(leaseTTL / 2)
		began := time.Now()
		var calls atomic.Int64
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if s, err := onceString(n, "k", slow(&calls, "v", nil)); s != "v" || err != nil {
					t.Errorf("%q, %v", s, err)
				}
			})
		}
		wg.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d loads", n)
		}
		if took := time.Since(began); took > leaseTTL/2+time.Second+2*lookAgain {
			t.Errorf("it took %s", took)
		}
	})
}

func TestNobodyWaitsLongerThanALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 2, false)
		hung := make(chan struct{})
		defer close(hung)
		go func() {
			_, _ = onceString(nodes[0], "k", cache.Do(func(context.Context) (any, error) { <-hung; return "late", nil }))
		}()
		synctest.Wait()
		began := time.Now()
		leaving, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := onceStringCtx(leaving, nodes[1], "k", never(t)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("who leaves gets %v after %s", err, time.Since(began))
		}
		began = time.Now()
		if s, err := onceString(nodes[1], "k", returns("v", nil)); s != "v" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
		if took := time.Since(began); took > leaseTTL {
			t.Errorf("it took %s", took)
		}
	})
}

func TestBatchesOfTheFleetLoadEachIDOnce(t *testing.T) {
	for _, linked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			nodes := leasedFleet(t, 4, linked)
			var mu sync.Mutex
			loaded := map[string]int{}
			var wg sync.WaitGroup
			for i, n := range nodes {
				ids := []string{fmt.Sprint(i), fmt.Sprint(i + 1), "all", "none"}
				slices.Sort(ids)
				wg.Go(func() {
					got, err := stringsOf(n).MGetWithErr(ctx, "", ids, func(_ context.Context, ask []string) (map[string]string, error) {
						mu.Lock()
						for _, id := range ask {
							loaded[id]++
						}
						mu.Unlock()
						time.Sleep(time.Second)
						found := map[string]string{}
						for _, id := range ask {
							if id != "none" {
								found[id] = "v" + id
							}
						}
						return found, nil
					})
					if err != nil || len(got) != 3 || got["all"] != "vall" || got[fmt.Sprint(i)] != fmt.Sprint("v", i) {
						t.Errorf("node %d: %v, %v", i, got, err)
					}
				})
			}
			wg.Wait()
			for id, times := range loaded {
				if times != 1 {
					t.Errorf("%s was loaded %d times", id, times)
				}
			}
			if len(loaded) != 7 {
				t.Errorf("%d ids were loaded", len(loaded))
			}
		})
	}
}

func TestAFailedBatchFailsForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 2, false)
		var wg sync.WaitGroup
		var calls, elsewhere atomic.Int64
		for _, n := range nodes {
			wg.Go(func() {
				_, err := stringsOf(n).MGetWithErr(ctx, "", []string{"a", "b"}, func(context.Context, []string) (map[string]string, error) {
					calls.Add(1)
					time.Sleep(time.Second)
					return nil, errBoom
				})
				if errors.Is(err, cache.ErrLoadElsewhere) {
					elsewhere.Add(1)
				} else if !errors.Is(err, errBoom) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if calls.Load() != 1 || elsewhere.Load() != 1 {
			t.Errorf("%d loads, %d failures of another node", calls.Load(), elsewhere.Load())
		}
	})
}

func TestWithoutAnAnswerAboutTheLeaseEachNodeLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 2, false)
		nodes[0].remote.SetFault(func(_ context.Context, op string, _ ...string) error {
			if op == "acquireLeases" || op == "releaseLeases" {
				return errBoom
			}
			return nil
		})
		var calls atomic.Int64
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if s, err := onceString(n, "k", slow(&calls, "v", nil)); s != "v" || err != nil {
					t.Errorf("%q, %v", s, err)
				}
			})
		}
		wg.Wait()
		if n := calls.Load(); n != 2 {
			t.Errorf("%d loads", n)
		}
	})
}

// Nodes do not load one after another where nothing gets stored.
func TestNodesDoNotQueueForWhatIsNotStored(t *testing.T) {
	type answer struct {
		value any
		err   error
	}
	tests := map[string]struct {
		answer   answer
		prepare  func(n *node)
		loads    int64
		slowest  time.Duration // of the loads that follow each other
		accepted error
	}{
		"a value like a placeholder": {answer: answer{value: "*"}, loads: 20, slowest: 2 * time.Second},
		"a value that cannot be stored": {
			answer: answer{value: "v"}, loads: 20, slowest: 2 * time.Second,
			prepare: func(n *node) {
				n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
					if op == "setFenced" {
						return errBoom
					}
					return nil
				})
			},
		},
		"a deadline of the loader's own": {
			answer: answer{err: fmt.Errorf("query: %w", context.DeadlineExceeded)}, loads: 1, slowest: time.Second,
			accepted: cache.ErrLoadElsewhere,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := leasedFleet(t, 20, true, cache.WithFence(time.Minute))
				if test.prepare != nil {
					test.prepare(nodes[0])
				}
				began := time.Now()
				var calls atomic.Int64
				var wg sync.WaitGroup
				for _, n := range nodes {
					wg.Go(func() {
						s, err := onceString(n, "k", slow(&calls, test.answer.value, test.answer.err))
						if err != nil && !errors.Is(err, test.accepted) && !errors.Is(err, test.answer.err) || err == nil && s != test.answer.value {
							t.Errorf("%q, %v", s, err)
						}
					})
				}
				wg.Wait()
				if took := time.Since(began); calls.Load() != test.loads || took > test.slowest {
					t.Errorf("%d loads took %s, want %d and %s at most", calls.Load(), took, test.loads, test.slowest)
				}
			})
		})
	}
}

// The change comes while a node loads, so its value is refused. The others wait for that load.
func TestNodesDoNotQueueForAValueThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 20, true, cache.WithFence(time.Minute))
		began := time.Now()
		var calls atomic.Int64
		var wg sync.WaitGroup
		for i, n := range nodes[1:] {
			wg.Go(func() {
				if i == 0 {
					time.Sleep(500 * time.Millisecond)
					_ = nodes[0].Delete(ctx, "k")
				}
				if s, err := onceString(n, "k", slow(&calls, "v", nil)); s != "v" || err != nil {
					t.Errorf("%q, %v", s, err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 2*time.Second+lookAgain {
			t.Errorf("%d loads took %s", calls.Load(), took)
		}
	})
}

func TestLeasesAreNotForWhatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := leasedFleet(t, 1, false)[0]
		_, _ = onceString(n, "k", returns("v", nil), cache.TTL(-1))
		if calls := n.remote.Calls("acquireLeases"); calls != 0 {
			t.Errorf("%d leases for a value that is not for the remote", calls)
		}
		if text := panicText(func() { cache.WithLease(0)(nil) }); !strings.Contains(text, "WithLease was given 0s") {
			t.Errorf("WithLease(0) panics with %q", text)
		}
	})
}

func TestLeasesAndFencesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := leasedFleet(t, 3, true, cache.WithFence(maxLoad))
		var calls atomic.Int64
		first := cache.Do(func(context.Context) (any, error) {
			calls.Add(1)
			_ = nodes[2].Delete(ctx, "k")
			time.Sleep(time.Second)
			return "old", nil
		})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = onceString(nodes[0], "k", first) })
		synctest.Wait()
		wg.Go(func() {
			// What the first loaded is refused by the fence: this one loads.
			if s, err := onceString(nodes[1], "k", slow(&calls, "new", nil)); s != "new" || err != nil {
				t.Errorf("%q, %v", s, err)
			}
		})
		wg.Wait()
		if calls.Load() != 2 {
			t.Errorf("%d loads", calls.Load())
		}
		nodes[1].expectStored(t, "k", "new", "new")
	})
}

// A load that ends in an unusual way gives its lease back: the next read does not wait for it.
func TestALeaseIsGivenBackWhateverEndsTheLoad(t *testing.T) {
	for name, loader := range map[string]func(){"Goexit": runtime.Goexit, "panic": func() { panic("the pieces") }} {
		synctest.Test(t, func(t *testing.T) {
			n := both(t, cache.WithLease(time.Minute), cache.WithFence(time.Minute))
			strs := cache.NewT[int, string](n.Cache)
			for what, read := range map[string]func() error{
				"Once": func() error {
					return n.Once(ctx, "once", cache.Do(func(context.Context) (any, error) { loader(); return nil, nil }))
				},
				"T.Get": func() error {
					_, err := strs.Get(ctx, "get", 1, func(context.Context, int) (string, error) { loader(); return "", nil })
					return err
				},
				"MGet": func() error {
					_, err := strs.MGetWithErr(ctx, "mget", []int{1}, func(context.Context, []int) (map[int]string, error) { loader(); return nil, nil })
					return err
				},
			} {
				if err := read(); err == nil {
					t.Errorf("%s, %s: no error", name, what)
				}
			}
			began := time.Now()
			for _, key := range []string{"once", "get:1", "mget:1"} {
				if s, err := onceString(n, key, returns("v", nil)); s != "v" || err != nil {
					t.Errorf("%s: %q, %v", key, s, err)
				}
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: the reads after it took %s", name, took)
			}
		})
	}
}
