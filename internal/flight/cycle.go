package flight

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
)

// A loader may read other keys, of the same cache or of another, and so wait for other
// loads. Waiting in a circle would be for ever: loads remember whom their loaders wait
// for, and who would close a circle gets ErrCycle instead.
//
// That takes knowing which load a waiter belongs to. The loader's ctx says it. A loader
// that reads with another ctx is found by its goroutine, which Go tells only in the
// text of a stack trace; that is looked at when a wait has lasted for a while.

// cycles guards every load's waitsFor.
var cycles sync.Mutex

// awaitedBy notes that the loader of waiter waits for l, until stop is called. It
// returns ErrCycle if l waits for waiter. A nil waiter is no loader.
func (l *load) awaitedBy(waiter *load) (stop func(), err error) {
	if waiter == nil {
		return func() {}, nil
	}
	cycles.Lock()
	defer cycles.Unlock()
	if l.reachesLocked(waiter, make(map[*load]bool)) {
		return nil, ErrCycle
	}
	if waiter.waitsFor == nil {
		waiter.waitsFor = make(map[*load]int)
	}
	waiter.waitsFor[l]++
	return func() {
		cycles.Lock()
		defer cycles.Unlock()
		if waiter.waitsFor[l]--; waiter.waitsFor[l] == 0 {
			delete(waiter.waitsFor, l)
		}
	}, nil
}

// reachesLocked reports whether l is target or waits for it, however indirectly.
func (l *load) reachesLocked(target *load, seen map[*load]bool) bool {
	if l == target {
		return true
	}
	seen[l] = true
	for next := range l.waitsFor {
		if !seen[next] && next.reachesLocked(target, seen) {
			return true
		}
	}
	return false
}

// loaderOf returns the load whose loader was given ctx, nil if there is none.
func loaderOf(ctx context.Context) *load {
	l, _ := ctx.Value(loadKey{}).(*load)
	return l
}

// loaders maps the number of a goroutine that runs a loader to its *load.
var loaders sync.Map

// Run calls a loader. With the ctx of a load, it notes for as long as the loader runs
// that this goroutine runs it. A panic becomes a *PanicError.
func Run[R any](ctx context.Context, loader func(context.Context) (R, error)) (r R, err error) {
	if l := loaderOf(ctx); l != nil {
		id := goroutine()
		if outer, nested := loaders.Swap(id, l); nested {
			defer loaders.Store(id, outer)
		} else {
			defer loaders.Delete(id)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p, debug.Stack()}
		}
	}()
	return loader(ctx)
}

// loaderOfGoroutine returns the load whose loader runs in this goroutine, nil if there
// is none.
func loaderOfGoroutine() *load {
	l, _ := loaders.Load(goroutine())
	if l == nil {
		return nil
	}
	return l.(*load)
}

// goroutine returns the number of this goroutine, which a stack trace begins with:
// "goroutine 7 [running]:".
func goroutine() uint64 {
	var text [32]byte
	n := runtime.Stack(text[:], false)
	var id uint64
	for _, c := range text[min(n, len("goroutine ")):n] {
		if c < '0' || c > '9' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}
