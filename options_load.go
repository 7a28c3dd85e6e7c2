package cache

import (
	"fmt"
	"math"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/load"
)

// ErrLoadTimeout is wrapped by the errors of calls whose load took longer than WithLoadTimeout or
// LoadTimeout allows.
var ErrLoadTimeout = load.ErrTimeout

// loadOptions are the options of how loaders are called. The zero value changes nothing.
type loadOptions struct {
	timeout     time.Duration
	concurrency int

	staleOnError time.Duration
	staleWhile   time.Duration
	staleRetry   time.Duration
	staleIf      func(error) bool
	softTimeout  time.Duration

	earlyBeta float64
}

// resolve panics for what cannot be.
func (l *loadOptions) resolve() {
	if !(l.earlyBeta >= 0 && l.earlyBeta <= math.MaxFloat64) { // also not a number
		panic(fmt.Sprintf("cache: New: WithEarlyRefresh was given %v; give a positive number, such as 1, or 0 for none", l.earlyBeta))
	}
}

// WithLoadTimeout bounds each load of the cache by d, from the call of its loader on. When the time is
// over, the loader's ctx ends, and every caller that waits for the load gets an ErrLoadTimeout. This also
// holds for a loader that does not heed its ctx: the next caller of the key loads again, and what the old
// loader returns later is dropped, and stored nowhere. Such a loader still runs. Close waits for it as
// for other loads, but not if Set has called it. Each load then runs in one more goroutine.
//
// It holds for the loaders of Once, Set, T and for refreshes. The deadline of a caller is still its own:
// it leaves earlier. Default, and for zero or less: no bound. LoadTimeout sets it for one call.
func WithLoadTimeout(d time.Duration) Option { return func(o *Options) { o.load.timeout = d } }

// LoadTimeout is WithLoadTimeout for the load that this call leads. A call that joins the load of
// another caller waits for as long as that one allows. Default, and for zero: that of the cache. Below
// zero: no bound.
func LoadTimeout(d time.Duration) ItemOption { return ItemOption{kind: itemLoadTimeout, ttl: d} }

// WithLoadConcurrency bounds how many loads of the cache run at a time, so that a cold cache does not
// overrun the database. Callers of further loads wait until a load ends, each until its own ctx ends. A
// batch is one load. A loader that reads other keys through the cache needs no further place for their
// loads. A loader that goes on after WithLoadTimeout keeps its place until it returns. Refreshes count,
// too. Default, and for zero or less: no bound.
func WithLoadConcurrency(n int) Option { return func(o *Options) { o.load.concurrency = n } }

// slots returns what bounds the loads, nil if nothing does.
func (l *loadOptions) slots() *load.Slots {
	if l.concurrency <= 0 {
		return nil
	}
	return load.NewSlots(l.concurrency)
}

// orOf returns a duration of a call: its own one, or that of the cache if it is zero. Below zero it is
// switched off, which is zero.
func orOf(call, cache time.Duration) time.Duration {
	if call == 0 {
		call = cache
	}
	return max(call, 0)
}
