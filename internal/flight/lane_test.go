package flight

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestALaneIsHandedOverInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lane
		if !l.try() || l.try() {
			t.Fatal("a free lane is not taken once")
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
				if err := l.enter(ctx); err != nil {
					if !errors.Is(err, context.Canceled) || i%3 != 1 {
						t.Errorf("waiter %d: %v", i, err)
					}
					return
				}
				order = append(order, i) // the lane guards it
				l.leave()
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		l.leave()
		wg.Wait()
		if want := []int{0, 2, 3, 5, 6, 8, 9}; !slices.Equal(order, want) {
			t.Errorf("the turns were %v, want %v", order, want)
		}
		if err := l.enter(gone); err != nil {
			t.Errorf("a free lane is not taken with a ctx that has ended: %v", err)
		}
	})
}

// A waiter whose turn comes as its ctx ends either has the lane or leaves it to the next.
func TestALaneIsNotLost(t *testing.T) {
	for range 200 {
		var l lane
		l.try()
		ctx, cancel := context.WithCancel(bg)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if l.enter(ctx) == nil {
					l.leave()
				}
			})
		}
		wg.Go(cancel)
		wg.Go(l.leave)
		wg.Wait()
		if !l.try() {
			t.Fatal("the lane is held though nobody has it")
		}
	}
}
