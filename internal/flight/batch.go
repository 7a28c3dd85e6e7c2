package flight

import (
	"cmp"
	"context"
	"errors"
)

// Batch is a set of keys. For each key, the batch either leads, and has to load it, or has joined
// a load that was under way.
//
// A batch must resolve the keys that it leads before it waits for the keys that it has joined.
// Otherwise two batches that overlap would wait for each other. Call Start, Wait and WaitJoined in
// this order. A Batch is for one goroutine, except that the function given to Start calls Note and
// Resolve.
type Batch[V any] struct {
	// Owned are the indices of the keys that the batch leads, Joined those of the keys that it
	// has joined.
	Owned, Joined []int
	// Background are the positions in Joined of loads in the background (see InBackground). The
	// stores may well have these keys: look there before waiting.
	Background []int

	t          *Table[V]
	run        *loaderRun
	background bool        // the stores may well have the owned keys
	detached   bool        // the load goes on after Leave
	calls      []call[V]   // by index of the key; only those of Owned are in use
	waiters    []waiter[V] // in the order of Joined
	waited     int         // number of waiters that were waited for, or have left
	done       chan struct{}
	err        error // why the run ended early, if it did; set before done is closed
}

// errUnresolved is the error of a key that the function given to Start has not resolved.
var errUnresolved = errors.New("cache: internal error: the batch left a key without a result")

// Claim joins the load of each key that has one under way, and leads the others. If a key is
// there twice, and no load of it is under way, the batch leads it once and joins it once. If Owned
// is not empty, the caller must call Start. In any case the caller must call Leave in the end.
func (t *Table[V]) Claim(ctx context.Context, keys []string) *Batch[V] {
	b := t.newBatch(ctx, len(keys))
	b.claim(keys)
	return b
}

// ClaimInBackground is Claim for keys that the stores may well have, as DoInBackground is Do.
func (t *Table[V]) ClaimInBackground(ctx context.Context, keys []string) *Batch[V] {
	b := t.newBatch(ctx, len(keys))
	b.background = true
	b.claim(keys)
	return b
}

func (t *Table[V]) newBatch(ctx context.Context, keys int) *Batch[V] {
	b := &Batch[V]{t: t, run: newLoaderRun(ctx, &t.running), calls: make([]call[V], keys), Owned: make([]int, 0, keys), done: make(chan struct{})}
	b.run.detach(ctx)
	return b
}

func (b *Batch[V]) claim(keys []string) {
	// One allocation for all entries: most of them are released at about the same time.
	fresh := make([]entry[V], len(keys))
	for i, key := range keys {
		if b.joinOrLead(i, key, &fresh[0]) && len(fresh) > 1 {
			fresh = fresh[1:]
		}
	}
}

// joinOrLead joins the load of a key, or makes the batch its leader. used reports whether fresh has
// become the key's entry.
func (b *Batch[V]) joinOrLead(i int, key string, fresh *entry[V]) (used bool) {
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
		b.waiters = append(b.waiters, w)
		return used
	}
	b.t.endJoiningLocked(e) // there may be a call that must not be joined
	b.calls[i] = call[V]{note: b.t.note(e, b.run), run: b.run, background: b.background, mark: b.t.joinLimit.mark()}
	e.joinable = &b.calls[i]
	b.Owned = append(b.Owned, i)
	return used
}

// Start calls load in a goroutine of its own. load has to resolve the owned keys. Its ctx has the
// values of the ctx given to Claim, but ends only when no caller of any of these keys is left. If
// load ends without having resolved a key, by a panic or otherwise, the key gets an error.
func (b *Batch[V]) Start(load func(ctx context.Context)) {
	b.run.begin()
	go func() {
		returned := false
		defer func() {
			defer close(b.done)
			if !returned {
				if r := recover(); r != nil {
					b.err = recovered(r, outsideLoader)
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
			b.run.end()
		}()
		load(b.run.ctx)
		returned = true
	}()
}

// Note returns the note of an owned key. It is valid until the key is resolved.
func (b *Batch[V]) Note(i int) Note[V] { return b.calls[i].note }

// Resolve gives an owned key its result and wakes the waiters that have joined it. Only the first
// call for a key counts; Resolve reports whether this call was the first.
func (b *Batch[V]) Resolve(i int, v V, err error) bool { return b.t.resolve(&b.calls[i], v, err) }

// Wait waits until the load that Start began has ended and all owned keys have their results. If
// ctx ends first, ended is false and err is ctx's error. Then the caller must not read what the
// load writes to. Otherwise err says why the load ended early, and is nil if it did not.
func (b *Batch[V]) Wait(ctx context.Context) (ended bool, err error) {
	if err := b.run.await(ctx, nil, b.done); err != nil {
		return false, err
	}
	return true, b.err
}

// WaitJoined returns the result of the n-th joined key, or ctx's error if ctx ends first. Call it
// in ascending order of n, at most once for each. The batch leaves the loads of the keys that were
// passed over.
func (b *Batch[V]) WaitJoined(ctx context.Context, n int) (V, error) {
	b.leaveBefore(n)
	b.waited = n + 1
	return b.waiters[n].wait(ctx)
}

func (b *Batch[V]) leaveBefore(n int) {
	for ; b.waited < n; b.waited++ {
		b.waiters[b.waited].call.run.leave()
	}
}

// Detach makes the load of the owned keys go on after Leave, although nobody may wait for it. Those of the
// joined keys go on for a while.
func (b *Batch[V]) Detach() {
	b.detached = true
	for _, w := range b.waiters {
		w.call.run.retain()
	}
}

// Leave tells the loads that the batch does not wait for their results any more. A load that
// nobody waits for is cancelled.
func (b *Batch[V]) Leave() {
	if !b.detached {
		b.run.leave()
	}
	b.leaveBefore(len(b.waiters))
}
