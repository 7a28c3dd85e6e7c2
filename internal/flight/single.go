package flight

import "context"

// Do returns the result of the load of key that is under way. If there is none, the caller is the
// leader: Do starts a load, which calls load in a goroutine of its own. led reports whether the
// caller was the leader.
//
// The ctx that load gets has the values of the leader's ctx, but ends only when no caller is left.
// Its Note was taken when the load began, and is released when load returns. If load panics, or
// ends its goroutine, every caller gets an error that says so.
//
// When ctx ends, Do returns ctx's error at once, whatever load does.
func (t *Table[V]) Do(ctx context.Context, key string, load func(ctx context.Context, n Note[V]) (V, error)) (v V, led bool, err error) {
	return t.do(ctx, key, request[V]{load: load})
}

// LookAndDo is Do with a look first. The leader calls look in its own goroutine, with its own ctx.
// If look finds the result, or returns an error, that is the result of the load, and load is not
// called. This saves a goroutine. But the leader cannot leave before look returns, so use it for a
// look that would not end early with ctx anyway. Callers that have joined get the error of look,
// too; if it is that of the leader's ctx, LeaderLeft says so.
func (t *Table[V]) LookAndDo(ctx context.Context, key string, look func(ctx context.Context, n Note[V]) (v V, found bool, err error), load func(ctx context.Context, n Note[V]) (V, error)) (v V, led bool, err error) {
	return t.do(ctx, key, request[V]{look: look, load: load})
}

// DoInBackground is Do for a load of a key that the stores may well have, such as a refresh.
// Readers of the key should look into the stores before they join it: see InBackground.
func (t *Table[V]) DoInBackground(ctx context.Context, key string, load func(ctx context.Context, n Note[V]) (V, error)) (v V, led bool, err error) {
	return t.do(ctx, key, request[V]{load: load, background: true})
}

// Start begins a load of key that nobody waits for: it goes on until load returns. Callers of Do may join
// it. If a load of key is under way already, Start reports false, and that load
// goes on for a while when all its callers have left.
func (t *Table[V]) Start(ctx context.Context, key string, load func(ctx context.Context, n Note[V]) (V, error)) (started bool) {
	return t.begin(ctx, key, request[V]{load: load})
}

// StartInBackground is Start for a load of a key that the stores may well have, as DoInBackground is Do.
func (t *Table[V]) StartInBackground(ctx context.Context, key string, load func(ctx context.Context, n Note[V]) (V, error)) (started bool) {
	return t.begin(ctx, key, request[V]{load: load, background: true})
}

func (t *Table[V]) begin(ctx context.Context, key string, r request[V]) (started bool) {
	c, w, led := t.joinOrLead(ctx, key, r.background)
	if !led {
		w.call.run.retain()
		w.call.run.leave()
		return false
	}
	t.start(ctx, c, r.load)
	return true
}

// InBackground reports whether a caller that reads key now would join a load of
// DoInBackground, StartInBackground or ClaimInBackground.
func (t *Table[V]) InBackground(key string) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	return e != nil && e.joinable != nil && e.joinable.background
}

type (
	lookFunc[V any] = func(ctx context.Context, n Note[V]) (v V, found bool, err error)
	loadFunc[V any] = func(ctx context.Context, n Note[V]) (V, error)
)

// request is what a caller of Do, LookAndDo or DoInBackground asks for.
type request[V any] struct {
	look       lookFunc[V] // nil if there is no look
	load       loadFunc[V]
	background bool
}

func (t *Table[V]) do(ctx context.Context, key string, r request[V]) (v V, led bool, err error) {
	if err := ctx.Err(); err != nil {
		return v, false, err
	}
	c, w, led := t.joinOrLead(ctx, key, r.background)
	if led {
		if r.look != nil {
			if v, resolved, err := t.look(ctx, c, r.look); resolved {
				return v, true, err
			}
		}
		w = t.start(ctx, c, r.load)
	}
	v, err = w.wait(ctx)
	return v, led, err
}

// joinOrLead joins the call of key, and returns a waiter. If no call may be joined, it begins one,
// and returns it: the caller leads.
func (t *Table[V]) joinOrLead(ctx context.Context, key string, background bool) (c *call[V], w waiter[V], led bool) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := s.holdLocked(key, nil)
	if w, ok := t.joinLocked(e); ok {
		s.releaseLocked(e) // the call holds it
		return nil, w, false
	}
	t.endJoiningLocked(e) // there may be a call that must not be joined
	r := newLoaderRun(ctx, &t.running)
	c = &call[V]{note: t.note(e, r), run: r, background: background, mark: t.joinLimit.mark()}
	e.joinable = c
	return c, w, true
}

// look calls look in the goroutine of the leader. resolved reports whether c has its result now;
// v and err are that result.
func (t *Table[V]) look(ctx context.Context, c *call[V], look lookFunc[V]) (v V, resolved bool, err error) {
	err = ErrGoexit // until look returns
	defer func() {
		if err == nil && !resolved {
			return
		}
		resolved = true
		if r := recover(); r != nil {
			err = recovered(r, outsideLoader)
		}
		t.resolve(c, v, err)
		c.run.leave()
	}()
	return look(ctx, c.note)
}

// start starts the load of c in a goroutine of its own.
func (t *Table[V]) start(ctx context.Context, c *call[V], load loadFunc[V]) waiter[V] {
	c.run.detach(ctx)
	c.run.begin()
	s := t.shard(c.note.e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
	}
	w := waiter[V]{call: c, done: c.done}
	if c.note.e.joinable == c {
		c.grouped = true
		w.result = t.group.DoChan(c.note.e.key, func() (any, error) {
			t.run(c, load)
			return nil, nil //nolint:nilnil // the result is that of c; nobody reads this one
		})
	} else { // a write came since joinOrLead: nobody joins c any more, and the group may have a newer call
		go t.run(c, load)
	}
	return w
}

// run runs the load of c and resolves c.
func (t *Table[V]) run(c *call[V], load loadFunc[V]) {
	var v V
	err := ErrGoexit // until load returns
	defer func() {
		if r := recover(); r != nil {
			err = recovered(r, outsideLoader)
		}
		t.resolve(c, v, err)
		c.run.end()
	}()
	v, err = load(c.run.ctx, c.note)
}
