// Package stats counts what a cache does and logs it as one table per interval.
package stats

// Handler receives one call per countable action of a cache. Implementations
// must be safe for concurrent use and quick: they are called on the path of
// every read.
//
// A handler may also implement RemoteErrorCounter, RefreshCounter, EventCounter, FenceCounter
// and SyncCounter.
type Handler interface {
	IncrHit()                // a read was answered from the cache, a placeholder included
	IncrMiss()               // no level had an answer
	IncrLocalHit()           // the local level answered
	IncrLocalMiss()          // the local level was asked and did not
	IncrRemoteHit()          // the remote level answered
	IncrRemoteMiss()         // the remote level was asked and did not, or failed
	IncrQuery()              // a loader was called
	IncrQueryFail(err error) // a loader failed with err (a not-found is no failure)
}

// RemoteErrorCounter is an optional ability of a Handler: it hears of every
// remote call that failed. op is the kind of call ("get", "set", "del" …).
type RemoteErrorCounter interface {
	IncrRemoteError(op string, err error)
}

// RefreshCounter is an optional ability of a Handler: it hears of what goes wrong with
// refreshing in the background, beside the loaders' failures.
type RefreshCounter interface {
	IncrRefreshTimeout() // a load did not end within its deadline
	IncrRefreshEvicted() // a key is no longer refreshed, because too many are
}

// EventCounter is an optional ability of a Handler: it hears of keys whose events were
// never delivered, because far too many waited for the event handler.
type EventCounter interface {
	IncrEventKeysLost(n int)
}

// FenceCounter is an optional ability of a Handler: it hears of loaded values that were not
// stored because their keys were changed meanwhile, on whatever node (WithFence).
type FenceCounter interface {
	IncrFillRefused(n int)
}

// SyncCounter is an optional ability of a Handler: it hears of what happens on the link to
// other nodes (WithSyncLocal, WithTracking).
type SyncCounter interface {
	IncrSyncGap() // messages may have been missed: older local entries are in doubt
}

// NewHandles returns a Handler that passes each call to all of handlers, in
// their order. With disable it drops every call and the handlers are not used.
// It panics if one of the handlers is nil.
func NewHandles(disable bool, handlers ...Handler) Handler {
	for _, h := range handlers {
		if h == nil {
			panic("stats: NewHandles: a handler is nil; leave it out, or pass disable to count nothing")
		}
	}
	switch {
	case disable:
		return fanOut(nil)
	case len(handlers) == 1:
		return handlers[0]
	}
	return append(fanOut(nil), handlers...)
}

// Enabled reports whether h counts anything: nil does not, nor does what NewHandles returns
// for no handlers or when disabled. A cache does not call such a handler.
func Enabled(h Handler) bool {
	f, ok := h.(fanOut)
	return h != nil && !(ok && len(f) == 0)
}

// fanOut passes each call on to several handlers; empty, it drops them.
type fanOut []Handler

var (
	_ Handler            = fanOut(nil)
	_ RemoteErrorCounter = fanOut(nil)
	_ RefreshCounter     = fanOut(nil)
	_ EventCounter       = fanOut(nil)
	_ FenceCounter       = fanOut(nil)
	_ SyncCounter        = fanOut(nil)
)

func (f fanOut) IncrHit() {
	for _, h := range f {
		h.IncrHit()
	}
}

func (f fanOut) IncrMiss() {
	for _, h := range f {
		h.IncrMiss()
	}
}

func (f fanOut) IncrLocalHit() {
	for _, h := range f {
		h.IncrLocalHit()
	}
}

func (f fanOut) IncrLocalMiss() {
	for _, h := range f {
		h.IncrLocalMiss()
	}
}

func (f fanOut) IncrRemoteHit() {
	for _, h := range f {
		h.IncrRemoteHit()
	}
}

func (f fanOut) IncrRemoteMiss() {
	for _, h := range f {
		h.IncrRemoteMiss()
	}
}

func (f fanOut) IncrQuery() {
	for _, h := range f {
		h.IncrQuery()
	}
}

func (f fanOut) IncrQueryFail(err error) {
	for _, h := range f {
		h.IncrQueryFail(err)
	}
}

// IncrRemoteError reaches the handlers that count remote errors.
func (f fanOut) IncrRemoteError(op string, err error) {
	for _, h := range f {
		if c, ok := h.(RemoteErrorCounter); ok {
			c.IncrRemoteError(op, err)
		}
	}
}

// IncrRefreshTimeout reaches the handlers that count refreshes.
func (f fanOut) IncrRefreshTimeout() {
	for _, h := range f {
		if c, ok := h.(RefreshCounter); ok {
			c.IncrRefreshTimeout()
		}
	}
}

// IncrRefreshEvicted reaches the handlers that count refreshes.
func (f fanOut) IncrRefreshEvicted() {
	for _, h := range f {
		if c, ok := h.(RefreshCounter); ok {
			c.IncrRefreshEvicted()
		}
	}
}

// IncrEventKeysLost reaches the handlers that count lost events.
func (f fanOut) IncrEventKeysLost(n int) {
	for _, h := range f {
		if c, ok := h.(EventCounter); ok {
			c.IncrEventKeysLost(n)
		}
	}
}

// IncrFillRefused reaches the handlers that count what fences refuse.
func (f fanOut) IncrFillRefused(n int) {
	for _, h := range f {
		if c, ok := h.(FenceCounter); ok {
			c.IncrFillRefused(n)
		}
	}
}

// IncrSyncGap reaches the handlers that count gaps.
func (f fanOut) IncrSyncGap() {
	for _, h := range f {
		if c, ok := h.(SyncCounter); ok {
			c.IncrSyncGap()
		}
	}
}
