package flight

import (
	"context"
	"runtime/debug"
)

// Do returns the result of key's flight. If there is none, it starts one, which calls
// run in a goroutine of its own; led tells that this caller did.
//
// run's ctx has the values of this caller's ctx but ends only when no caller is left.
// Its note was taken when the flight began, and is released when run returns. If run
// panics, or ends its goroutine, every caller gets an error that says so.
//
// Do returns with ctx's error as soon as ctx ends, whatever run does.
func (t *Table[V]) Do(ctx context.Context, key string, run func(ctx context.Context, n Note[V]) (V, error)) (v V, led bool, err error) {
	return t.do(ctx, key, run, false)
}

// DoInBackground is Do for a load that nobody misses: readers of the key should look into
// the stores before they join it, see InBackground.
func (t *Table[V]) DoInBackground(ctx context.Context, key string, run func(ctx context.Context, n Note[V]) (V, error)) (v V, led bool, err error) {
	return t.do(ctx, key, run, true)
}

func (t *Table[V]) do(ctx context.Context, key string, run func(ctx context.Context, n Note[V]) (V, error), background bool) (v V, led bool, err error) {
	if err := ctx.Err(); err != nil {
		return v, false, err
	}
	w, led := t.board(ctx, key, run, background)
	v, err = w.wait(ctx)
	return v, led, err
}

// InBackground reports whether key's flight is one of DoInBackground.
func (t *Table[V]) InBackground(key string) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	return e != nil && e.flight != nil && e.flight.background
}

// board joins or starts key's flight.
func (t *Table[V]) board(ctx context.Context, key string, run func(ctx context.Context, n Note[V]) (V, error), background bool) (w ticket[V], led bool) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.holdLocked(key, nil)
	if w, ok := t.joinLocked(e); ok {
		s.releaseLocked(e) // the call holds it
		return w, false
	}
	t.endFlightLocked(e) // an abandoned one
	l := newLoad(ctx, &t.running)
	l.begin()
	c := &call[V]{note: t.note(e, l), load: l, single: true, background: background, done: make(chan struct{})}
	e.flight = c
	result := t.single.DoChan(key, func() (any, error) {
		t.fly(c, run)
		return nil, nil
	})
	return ticket[V]{c, result, c.done}, true
}

// fly runs the load of c and ends its flight.
func (t *Table[V]) fly(c *call[V], run func(ctx context.Context, n Note[V]) (V, error)) {
	returned := false
	defer func() {
		if !returned {
			if r := recover(); r != nil {
				c.err = &PanicError{r, debug.Stack()}
			} else {
				c.err = ErrGoexit
				defer close(c.done)
			}
		}
		s := t.shard(c.note.e.key)
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.note.e.flight == c {
			t.endFlightLocked(c.note.e)
		}
		s.releaseLocked(c.note.e)
		c.load.end()
	}()
	c.value, c.err = run(c.load.ctx, c.note)
	returned = true
}
