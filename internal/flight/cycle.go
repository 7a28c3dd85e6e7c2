package flight

import (
	"context"
	"runtime"
	"sync"
)

// A loader may read other keys, of the same cache or of another cache, and so wait for other
// loads. If the waits formed a circle, they would never end. So each run of a loader records which
// runs its loader waits for, and a wait that would close a circle returns ErrCycle.
//
// For that, a wait must know which run its caller is part of. The ctx that the loader was given
// says it. A loader that reads with another ctx is found by its goroutine. Go tells the number of
// a goroutine only in the text of a stack trace, so that is read only after a wait has lasted for
// cycleCheckDelay.

// cycles guards waitsFor of every loaderRun.
var cycles sync.Mutex

// registerWait records that the loader of waiter waits for r until stop is called. It returns
// ErrCycle if r waits for waiter. waiter is nil if the caller is not part of a loader.
func (r *loaderRun) registerWait(waiter *loaderRun) (stop func(), err error) {
	if waiter == nil {
		return func() {}, nil
	}
	cycles.Lock()
	defer cycles.Unlock()
	if r.reachesLocked(waiter, make(map[*loaderRun]bool)) {
		return nil, ErrCycle
	}
	if waiter.waitsFor == nil {
		waiter.waitsFor = make(map[*loaderRun]int)
	}
	waiter.waitsFor[r]++
	if !r.isWanted {
		r.isWanted = true
		if r.wanted != nil {
			close(r.wanted)
		}
	}
	return func() {
		cycles.Lock()
		defer cycles.Unlock()
		if waiter.waitsFor[r]--; waiter.waitsFor[r] == 0 {
			delete(waiter.waitsFor, r)
		}
	}, nil
}

// Wanted returns a channel that is closed when the loader of another load waits for the load with this
// ctx. It is nil if ctx is not that of a load.
func Wanted(ctx context.Context) <-chan struct{} {
	r := runOf(ctx)
	if r == nil {
		return nil
	}
	cycles.Lock()
	defer cycles.Unlock()
	if r.wanted == nil {
		r.wanted = make(chan struct{})
		if r.isWanted {
			close(r.wanted)
		}
	}
	return r.wanted
}

// reachesLocked reports whether r is target, or waits for target directly or through other runs.
func (r *loaderRun) reachesLocked(target *loaderRun, seen map[*loaderRun]bool) bool {
	if r == target {
		return true
	}
	seen[r] = true
	for next := range r.waitsFor {
		if !seen[next] && next.reachesLocked(target, seen) {
			return true
		}
	}
	return false
}

// runOf returns the run whose loader was given ctx, nil if there is none.
func runOf(ctx context.Context) *loaderRun {
	r, _ := ctx.Value(loaderRunKey{}).(*loaderRun)
	return r
}

// runs maps the number of a goroutine that runs a loader to its *loaderRun.
var runs sync.Map

// Run calls a loader. If ctx is that of a load, Run records that this goroutine runs the loader,
// until the loader returns. A panic of the loader becomes a *PanicError.
func Run[R any](ctx context.Context, loader func(context.Context) (R, error)) (result R, err error) {
	if r := runOf(ctx); r != nil {
		id := goroutine()
		if outer, nested := runs.Swap(id, r); nested {
			defer runs.Store(id, outer)
		} else {
			defer runs.Delete(id)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = recovered(p, "")
		}
	}()
	return loader(ctx)
}

// runOfGoroutine returns the run whose loader runs in this goroutine, nil if there is none.
func runOfGoroutine() *loaderRun {
	r, _ := runs.Load(goroutine())
	if r == nil {
		return nil
	}
	return r.(*loaderRun)
}

// goroutine returns the number of this goroutine. A stack trace begins with it:
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
