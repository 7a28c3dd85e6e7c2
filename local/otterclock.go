package local

import (
	"sync/atomic"
	"time"
	"weak"
)

// otterClock is the clock that otter reads. It shows the time of the last tick, so that a read costs
// otter next to nothing. Otter's own deadlines only say when it removes an entry from memory:
// they are checked once a tick. When readers do not see an entry any more, the store decides by
// the exact time. This clock is never ahead of it, so otter removes no entry too early.
//
// It has no goroutine: a timer sets the time and makes otter look for what has ended. The timer ends
// with stop, or with the first tick after the clock is no longer reachable.
type otterClock struct {
	exact   clock
	coarse  atomic.Int64
	stopped atomic.Bool
}

// NowNano returns the time of the last tick.
func (c *otterClock) NowNano() int64 { return c.coarse.Load() }

// Tick returns a channel that gets a time each d. Otter calls it once, from the goroutine that
// removes what has ended, and that goroutine ends when the channel is closed.
func (c *otterClock) Tick(d time.Duration) <-chan time.Time {
	t := &otterTicks{clock: weak.Make(c), every: d, ticks: make(chan time.Time, 1)}
	time.AfterFunc(d, t.tick)
	return t.ticks
}

// stop ends the ticks.
func (c *otterClock) stop() { c.stopped.Store(true) }

// otterTicks are the ticks of an otterClock. They must not keep it reachable.
type otterTicks struct {
	clock weak.Pointer[otterClock]
	every time.Duration
	ticks chan time.Time
}

// tick runs once each interval: each call starts the timer of the next one.
func (t *otterTicks) tick() {
	c := t.clock.Value()
	if c == nil || c.stopped.Load() {
		close(t.ticks)
		return
	}
	c.coarse.Store(c.exact.now())
	select {
	case t.ticks <- time.Time{}:
	default: // otter has not taken the last one yet
	}
	time.AfterFunc(t.every, t.tick)
}
