package flight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The loaders wait for themselves with the ctx that they were given, and with another ctx.
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
		t.Run("a very long key, "+with, func(t *testing.T) {
			bubble(t, func(t *testing.T, table *Table[string]) {
				key := strings.Repeat("k", 100_000)
				_, _, err := table.Do(bg, key, reads(table, key, nil))
				if text := fmt.Sprint(err); !errors.Is(err, ErrCycle) || len(text) > 300 || !strings.Contains(text, `"kkk`) {
					t.Errorf("the error has %d bytes: %.300s", len(text), text)
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
