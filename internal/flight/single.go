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
	return t.do(ctx, key, nil, run, false)
}

// LookAndDo is Do with a look first, in the goroutine of the caller that leads, and with its
// ctx: if look has the result, or an error, that is the flight's, and run is not called. It
// saves a goroutine, and the caller stays as long as look does: it is for looks that ctx cannot
// cut short. Who has joined gets the error of look, too, also if that is of the leader's ctx.
func (t *Table[V]) LookAndDo(ctx context.Context, key string, look func(ctx context.Context, n Note[V]) (v V, found bool, err error), run func(ctx context.Context, n Note[V]) (V, error)) (v V, led bool, err error) {
	return t.do(ctx, key, look, run, false)
}

// DoInBackground is Do for a load that nobody misses: readers of the key should look into
// the stores before they join it, see InBackground.
func (t *Table[V]) DoInBackground(ctx context.Context, key string, run func(ctx context.Context, n Note[V]) (V, error)) (v V, led bool, err error) {
	return t.do(ctx, key, nil, run, true)
}

func (t *Table[V]) do(ctx context.Context, key string, look func(context.Context, Note[V]) (V, bool, error), run func(context.Context, Note[V]) (V, error), background bool) (v V, led bool, err error) {
	if err := ctx.Err(); err != nil {
		return v, false, err
	}
	c, w, led := t.board(key, background)
	if led {
		if look != nil {
			if v, over, err := t.look(ctx, c, look); over {
				return v, true, err
			}
		}
		w = t.depart(ctx, c, run)
	}
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

// board joins key's flight, or begins one, which is led then.
func (t *Table[V]) board(key string, background bool) (c *call[V], w ticket[V], led bool) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.holdLocked(key, nil)
	if w, ok := t.joinLocked(e); ok {
		s.releaseLocked(e) // the call holds it
		return nil, w, false
	}
	t.endFlightLocked(e) // one that takes nobody
	l := newLoad(&t.running)
	c = &call[V]{note: t.note(e, l), load: l, background: background, boarding: t.parting.begin()}
	e.flight = c
	return c, w, true
}

// look looks for the result of c in the goroutine of its leader; over tells that the flight
// is: v and err are its result.
func (t *Table[V]) look(ctx context.Context, c *call[V], look func(context.Context, Note[V]) (V, bool, error)) (v V, over bool, err error) {
	err = ErrGoexit // until it returns
	defer func() {
		if err == nil && !over {
			return
		}
		over = true
		if r := recover(); r != nil {
			err = &PanicError{r, debug.Stack()}
		}
		t.settle(c, v, err)
		c.load.leave()
	}()
	return look(ctx, c.note)
}

// depart starts the load of c, in a goroutine of its own.
func (t *Table[V]) depart(ctx context.Context, c *call[V], run func(context.Context, Note[V]) (V, error)) ticket[V] {
	c.load.detach(ctx)
	c.load.begin()
	s := t.shard(c.note.e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
	}
	w := ticket[V]{call: c, done: c.done}
	if c.note.e.flight == c {
		c.single = true
		w.result = t.single.DoChan(c.note.e.key, func() (any, error) {
			t.fly(c, run)
			return nil, nil
		})
	} else { // a write came in between: nobody joins it any more, and another may be under way
		go t.fly(c, run)
	}
	return w
}

// fly runs the load of c and ends its flight.
func (t *Table[V]) fly(c *call[V], run func(ctx context.Context, n Note[V]) (V, error)) {
	var v V
	err := ErrGoexit // until it returns
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{r, debug.Stack()}
		}
		t.settle(c, v, err)
		c.load.end()
	}()
	v, err = run(c.load.ctx, c.note)
}

// settle gives a call its result and tells those who have joined. Only the first time
// counts; it reports whether this was that.
func (t *Table[V]) settle(c *call[V], v V, err error) bool {
	e := c.note.e
	s := t.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.settled {
		return false
	}
	c.value, c.err, c.settled = v, err, true
	if e.flight == c {
		t.endFlightLocked(e)
	}
	if c.done != nil {
		close(c.done)
	}
	s.releaseLocked(e)
	return true
}
