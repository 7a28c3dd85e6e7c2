package flight

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestAWriteLockGoesToItsWaitersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l writeLock
		if !l.tryLock() || l.tryLock() {
			t.Fatal("a free lock is not taken exactly once")
		}
		gone, cancel := context.WithCancel(bg)
		var (
			order []int
			wg    sync.WaitGroup
		)
		for i := range 10 {
			ctx := bg
			if i%3 == 1 {
				ctx = gone
			}
			wg.Go(func() {
				if err := l.lock(ctx); err != nil {
					if !errors.Is(err, context.Canceled) || i%3 != 1 {
						t.Errorf("waiter %d: %v", i, err)
					}
					return
				}
				order = append(order, i) // guarded by l
				l.unlock()
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		l.unlock()
		wg.Wait()
		if want := []int{0, 2, 3, 5, 6, 8, 9}; !slices.Equal(order, want) {
			t.Errorf("the waiters got the lock in the order %v, want %v", order, want)
		}
		if err := l.lock(gone); err != nil {
			t.Errorf("a free lock is not taken with a ctx that has ended: %v", err)
		}
	})
}

// A waiter may get the lock at the moment when its ctx ends. Then it either has the lock or passes
// it on.
func TestAWriteLockIsNotLost(t *testing.T) {
	for range 200 {
		var l writeLock
		l.tryLock()
		ctx, cancel := context.WithCancel(bg)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if l.lock(ctx) == nil {
					l.unlock()
				}
			})
		}
		wg.Go(cancel)
		wg.Go(l.unlock)
		wg.Wait()
		if !l.tryLock() {
			t.Fatal("the lock is held, but nobody has it")
		}
	}
}
