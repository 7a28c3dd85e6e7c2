package flight

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"
)

// Batch is a set of keys, each either claimed by the batch, which then has to load it,
// or joined to a flight that was there already.
//
// The one who claimed must resolve what it owns before it waits for what others own:
// two batches that overlap would otherwise wait for each other. Start and Wait see to
// that, with WaitJoined after them.
type Batch[V any] struct {
	// Owned and Joined are the indices of the keys that were claimed and of those that
	// were joined.
	Owned, Joined []int
	// Background are the positions in Joined of flights that load although the stores may
	// well have the key: look there before waiting.
	Background []int

	t       *Table[V]
	load    *load
	calls   []call[V]   // by index; those of Owned are in use
	tickets []ticket[V] // of Joined, in its order
	waited  int         // how many of tickets have been waited for
	done    chan struct{}
	err     error // why the load ended before its time; set before done is closed
}

// errUnresolved is the result of a key that a batch's load forgot.
var errUnresolved = errors.New("cache: internal error: the batch left a key without a result")

// Claim claims each of keys, or joins its flight. A key that is there twice is claimed
// once and joined once. If Owned is not empty, the caller calls Start; in any case it
// calls Leave in the end.
func (t *Table[V]) Claim(ctx context.Context, keys []string) *Batch[V] {
	b := &Batch[V]{t: t, load: newLoad(&t.running), calls: make([]call[V], len(keys)), Owned: make([]int, 0, len(keys)), done: make(chan struct{})}
	b.load.detach(ctx)
	// The entries of a batch come and go together, for the most part.
	fresh := make([]entry[V], len(keys))
	for i, key := range keys {
		if b.claim(i, key, &fresh[0]) && len(fresh) > 1 {
			fresh = fresh[1:]
		}
	}
	return b
}

// claim claims a key or joins its flight; used tells whether fresh has become its entry.
func (b *Batch[V]) claim(i int, key string, fresh *entry[V]) (used bool) {
	s := b.t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, used := s.holdLocked(key, fresh)
	if w, ok := b.t.joinLocked(e); ok {
		s.releaseLocked(e) // the call holds it
		if w.call.background {
			b.Background = append(b.Background, len(b.Joined))
		}
		b.Joined = append(b.Joined, i)
		b.tickets = append(b.tickets, w)
		return used
	}
	b.t.endFlightLocked(e) // one that takes nobody
	b.calls[i] = call[V]{note: b.t.note(e, b.load), load: b.load, boarding: b.t.parting.begin()}
	e.flight = &b.calls[i]
	b.Owned = append(b.Owned, i)
	return used
}

// Start calls run in a goroutine of its own. run resolves the owned keys; its ctx has
// the values of the claimer's ctx but ends only when no caller of any of them is left.
// The keys that run has not resolved when it ends, by a panic or otherwise, get an error.
func (b *Batch[V]) Start(run func(ctx context.Context)) {
	b.load.begin()
	go func() {
		returned := false
		defer func() {
			defer close(b.done)
			if !returned {
				if r := recover(); r != nil {
					b.err = &PanicError{r, debug.Stack()}
				} else {
					b.err = ErrGoexit
				}
			}
			var zero V
			for _, i := range b.Owned {
				if err := cmp.Or(b.err, errUnresolved); b.Resolve(i, zero, err) {
					b.err = err
				}
			}
			b.load.end()
		}()
		run(b.load.ctx)
		returned = true
	}()
}

// Note returns the note of an owned key, which lasts until the key is resolved.
func (b *Batch[V]) Note(i int) Note[V] { return b.calls[i].note }

// Resolve gives an owned key its result and tells those who have joined. Only the first
// call for a key counts; it reports whether this was that.
func (b *Batch[V]) Resolve(i int, v V, err error) bool { return b.t.settle(&b.calls[i], v, err) }

// Wait waits until the load that Start began has ended and all owned keys have their
// results. ended is false if ctx ended first, with its error: what run writes to must then
// not be read. Otherwise err is why the load ended before its time, if it did.
func (b *Batch[V]) Wait(ctx context.Context) (ended bool, err error) {
	if err := b.load.await(ctx, nil, b.done); err != nil {
		return false, err
	}
	return true, b.err
}

// WaitJoined returns the result of the n-th joined key, or ctx's error when ctx ends
// first. It is called once for each n, in ascending order; those that are passed over are
// left.
func (b *Batch[V]) WaitJoined(ctx context.Context, n int) (V, error) {
	b.leaveBefore(n)
	b.waited = n + 1
	return b.tickets[n].wait(ctx)
}

func (b *Batch[V]) leaveBefore(n int) {
	for ; b.waited < n; b.waited++ {
		b.tickets[b.waited].call.load.leave()
	}
}

// Leave ends the caller's interest in the keys that have no result yet.
func (b *Batch[V]) Leave() {
	b.load.leave()
	b.leaveBefore(len(b.tickets))
}
