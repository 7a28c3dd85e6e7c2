package stats

// Handlers passes each call on to several handlers. NewHandles makes one. Its zero value has no
// handlers and counts nothing. Its methods may be called concurrently.
type Handlers struct {
	handlers []Handler // not changed after creation
}

var (
	_ Handler            = (*Handlers)(nil)
	_ RemoteErrorCounter = (*Handlers)(nil)
	_ RefreshCounter     = (*Handlers)(nil)
	_ EventCounter       = (*Handlers)(nil)
	_ FenceCounter       = (*Handlers)(nil)
	_ SyncCounter        = (*Handlers)(nil)
	_ SizeCounter        = (*Handlers)(nil)
)

// NewHandles returns a *Handlers that passes each call on to all of handlers, in their order. It
// passes a call of an optional ability on to those that have it. If disable is true, it counts
// nothing and does not use the handlers. It panics if one of the handlers is nil.
func NewHandles(disable bool, handlers ...Handler) Handler {
	for _, h := range handlers {
		if h == nil {
			panic("stats: NewHandles: a handler is nil; leave it out, or pass disable to count nothing")
		}
	}
	f := &Handlers{}
	if disable {
		return f
	}
	for _, h := range handlers {
		if inner, ok := h.(*Handlers); ok {
			f.handlers = append(f.handlers, inner.handlers...)
		} else {
			f.handlers = append(f.handlers, h)
		}
	}
	return f
}

// Enabled reports whether h counts anything. A nil Handler and a *Handlers without handlers do
// not. A cache does not call such a Handler.
func Enabled(h Handler) bool {
	f, ok := h.(*Handlers)
	return h != nil && !(ok && len(f.handlers) == 0)
}

// IncrHit counts a read that a level answered.
func (f *Handlers) IncrHit() {
	for _, h := range f.handlers {
		h.IncrHit()
	}
}

// IncrMiss counts a read that no level answered.
func (f *Handlers) IncrMiss() {
	for _, h := range f.handlers {
		h.IncrMiss()
	}
}

// IncrLocalHit counts an answer of the local level.
func (f *Handlers) IncrLocalHit() {
	for _, h := range f.handlers {
		h.IncrLocalHit()
	}
}

// IncrLocalMiss counts a key that the local level did not have.
func (f *Handlers) IncrLocalMiss() {
	for _, h := range f.handlers {
		h.IncrLocalMiss()
	}
}

// HitLocally is IncrHit and IncrLocalHit in one call, which is cheaper if a handler is a *Stats.
func (f *Handlers) HitLocally() {
	for _, h := range f.handlers {
		if s, ok := h.(*Stats); ok {
			s.HitLocally()
			continue
		}
		h.IncrHit()
		h.IncrLocalHit()
	}
}

// IncrRemoteHit counts an answer of the remote level.
func (f *Handlers) IncrRemoteHit() {
	for _, h := range f.handlers {
		h.IncrRemoteHit()
	}
}

// IncrRemoteMiss counts a key that the remote level did not have, or a read of it that failed.
func (f *Handlers) IncrRemoteMiss() {
	for _, h := range f.handlers {
		h.IncrRemoteMiss()
	}
}

// IncrQuery counts a call of a loader.
func (f *Handlers) IncrQuery() {
	for _, h := range f.handlers {
		h.IncrQuery()
	}
}

// IncrQueryFail counts a loader that failed.
func (f *Handlers) IncrQueryFail(err error) {
	for _, h := range f.handlers {
		h.IncrQueryFail(err)
	}
}

// IncrRemoteError counts a remote call that failed; see RemoteErrorCounter.
func (f *Handlers) IncrRemoteError(op string, err error) {
	for _, h := range f.handlers {
		if c, ok := h.(RemoteErrorCounter); ok {
			c.IncrRemoteError(op, err)
		}
	}
}

// IncrRefreshTimeout counts a load in the background that did not end before its deadline; see
// RefreshCounter.
func (f *Handlers) IncrRefreshTimeout() {
	for _, h := range f.handlers {
		if c, ok := h.(RefreshCounter); ok {
			c.IncrRefreshTimeout()
		}
	}
}

// IncrRefreshEvicted counts a key that is no longer refreshed; see RefreshCounter.
func (f *Handlers) IncrRefreshEvicted() {
	for _, h := range f.handlers {
		if c, ok := h.(RefreshCounter); ok {
			c.IncrRefreshEvicted()
		}
	}
}

// IncrEventKeysLost counts n keys whose events were never delivered; see EventCounter.
func (f *Handlers) IncrEventKeysLost(n int) {
	for _, h := range f.handlers {
		if c, ok := h.(EventCounter); ok {
			c.IncrEventKeysLost(n)
		}
	}
}

// IncrFillRefused counts n loaded values that were not stored; see FenceCounter.
func (f *Handlers) IncrFillRefused(n int) {
	for _, h := range f.handlers {
		if c, ok := h.(FenceCounter); ok {
			c.IncrFillRefused(n)
		}
	}
}

// IncrSyncGap counts a time at which messages of other nodes may have been missed; see
// SyncCounter.
func (f *Handlers) IncrSyncGap() {
	for _, h := range f.handlers {
		if c, ok := h.(SyncCounter); ok {
			c.IncrSyncGap()
		}
	}
}

// IncrValueTooLarge counts a value that was not stored because of its size; see SizeCounter.
func (f *Handlers) IncrValueTooLarge() {
	for _, h := range f.handlers {
		if c, ok := h.(SizeCounter); ok {
			c.IncrValueTooLarge()
		}
	}
}
