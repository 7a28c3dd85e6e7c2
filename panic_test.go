package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestALoadersPanicReachesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := both(t)
		explode := func() { time.Sleep(time.Second); panic("the pieces") }
		check := func(what string, err error) {
			var p *cache.PanicError
			if !errors.As(err, &p) || !strings.Contains(err.Error(), "the pieces") || !strings.Contains(string(p.Stack), "panic_test.go") {
				t.Errorf("%s: %v", what, err)
			}
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := onceString(n, "once", cache.Do(func(context.Context) (any, error) { explode(); return nil, nil }))
				check("Once", err)
			})
			wg.Go(func() {
				_, err := cache.NewT[int, string](n.Cache).Get(ctx, "get", 1, func(context.Context, int) (string, error) { explode(); return "", nil })
				check("T.Get", err)
			})
			wg.Go(func() {
				_, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "mget", []int{1, 2}, func(context.Context, []int) (map[int]string, error) { explode(); return nil, nil })
				check("MGetWithErr", err)
			})
		}
		wg.Go(func() {
			check("Set", n.Set(ctx, "set", cache.Do(func(context.Context) (any, error) { explode(); return nil, nil })))
		})
		wg.Wait()
		for _, key := range []string{"once", "get:1", "mget:1", "mget:2", "set"} {
			if s, err := onceString(n, key, returns("v", nil)); s != "v" || err != nil {
				t.Errorf("%q afterwards: %q, %v", key, s, err)
			}
		}
	})
}

func TestAPanicWithTheNotFoundErrorIsAPanic(t *testing.T) {
	n := both(t)
	explode := cache.Do(func(context.Context) (any, error) { panic(fmt.Errorf("load: %w", cache.ErrNotFound)) })
	var p *cache.PanicError
	if _, err := onceString(n, "k", explode); !errors.As(err, &p) {
		t.Errorf("Once: %v", err)
	}
	if err := n.Set(ctx, "k", explode); !errors.As(err, &p) {
		t.Errorf("Set: %v", err)
	}
	n.expectStored(t, "k", "-", "-")
	if got := n.counts.take(); got != "m lm rm q*2 qf*2" {
		t.Errorf("counted %q", got)
	}
}

func TestALoaderThatEndsItsGoroutine(t *testing.T) {
	n := both(t)
	if _, err := onceString(n, "k", cache.Do(func(context.Context) (any, error) { runtime.Goexit(); return nil, nil })); err == nil {
		t.Error("Once: no error")
	}
	if _, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, func(context.Context, []int) (map[int]string, error) { runtime.Goexit(); return nil, nil }); err == nil {
		t.Error("MGetWithErr: no error")
	}
	if s, err := onceString(n, "k", returns("v", nil)); s != "v" || err != nil {
		t.Errorf("afterwards: %q, %v", s, err)
	}
}

func TestALoaderThatExitsDoesNotSpoilTheRestOfABatch(t *testing.T) {
	n := both(t)
	n.remote.Put("k:1", "there")
	got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]string, error) {
		runtime.Goexit()
		return nil, nil
	})
	if got[1] != "there" || len(got) != 1 || err == nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got := n.counts.take(); got != "h m lm*2 rh rm q qf" {
		t.Errorf("counted %q", got)
	}
}

func TestARemoteThatPanicsDoesNotBlockItsKeys(t *testing.T) {
	n := both(t)
	n.remote.SetFault(func(_ context.Context, op string, _ ...string) error {
		if op != "get" && op != "mget" {
			panic("remote " + op)
		}
		return nil
	})
	for _, call := range []func(){
		func() { _ = n.Set(ctx, "k:1", cache.Value("v")) },
		func() { _ = n.Delete(ctx, "k:1") },
	} {
		if text := panicText(call); !strings.Contains(text, "remote ") {
			t.Errorf("panicked with %q", text)
		}
	}
	var p *cache.PanicError
	if _, err := onceString(n, "k:1", returns("v", nil)); !errors.As(err, &p) {
		t.Errorf("Once: %v", err)
	}
	load := func(context.Context, []int) (map[int]string, error) { return map[int]string{1: "v"}, nil }
	got, err := cache.NewT[int, string](n.Cache).MGetWithErr(ctx, "k", []int{1}, load)
	if !errors.As(err, &p) || got[1] != "v" {
		t.Errorf("MGet: %v, %v", got, err)
	}
	n.remote.SetFault(nil)
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := n.Set(short, "k:1", cache.Value("w")); err != nil {
		t.Errorf("Set afterwards: %v", err)
	}
	n.expectStored(t, "k:1", "w", "w")
}

// explosive panics when it is encoded.
type explosive struct{ Fuse bool }

func (e explosive) MarshalText() ([]byte, error) {
	if e.Fuse {
		panic("the fuse burns")
	}
	return []byte("dud"), nil
}

func (e *explosive) UnmarshalText([]byte) error { return nil }

func TestAValueThatPanicsWhenEncoded(t *testing.T) {
	n := both(t, cache.WithCodec("json"))
	things := cache.NewT[int, explosive](n.Cache)
	got, err := things.MGetWithErr(ctx, "k", []int{1, 2}, func(context.Context, []int) (map[int]explosive, error) {
		return map[int]explosive{1: {true}, 2: {}}, nil
	})
	if len(got) != 2 || err == nil || !strings.Contains(err.Error(), "the fuse burns") {
		t.Errorf("got %v, %v", got, err)
	}
	n.expectStored(t, "k:2", `"dud"`, `"dud"`)
	if err := things.Set(ctx, "k", 3, explosive{true}); err == nil {
		t.Error("Set: no error")
	}
}
