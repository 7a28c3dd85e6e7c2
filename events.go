package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/coherence"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// EventType says what changed keys.
type EventType int

// The changes that events tell of.
const (
	EventTypeSet          EventType = 1 // Set stored a value
	EventTypeSetByOnce    EventType = 2 // Once loaded a value, or that there is none
	EventTypeSetByRefresh EventType = 3 // a refresh loaded a value, or that there is none
	EventTypeSetByMGet    EventType = 4 // MGet loaded values, or that there are none
	EventTypeDelete       EventType = 5 // Delete removed a key
)

// Event tells that keys have changed, so that the local levels of other nodes can follow.
// Its JSON, with these field names, is a wire format.
type Event struct {
	CacheName string    // the name of the cache
	SourceID  string    // the node that made the change
	EventType EventType // what it did
	Keys      []string  // the keys, as they are in the stores
}

// eventQueue hands events to the handler, one at a time, from a goroutine that runs only
// while there are any. Adding one never waits for the handler.
type eventQueue struct {
	cacheName string
	sourceID  string
	handler   func(*Event)
	size      int
	observe   *observe.Observer
	lost      *observe.Line
	panics    *observe.Line // of the handler

	mu      sync.Mutex
	waiting []*waitingEvent             // guarded by mu
	newest  map[EventType]*waitingEvent // guarded by mu: of each type, the last of waiting
	running bool                        // guarded by mu: there is a goroutine
	givenUp chan struct{}               // guarded by mu: the idle that close has waited for in vain
	idle    chan struct{}               // guarded by mu: closed when the goroutine has ended
}

// waitingEvent is an event that has not been delivered.
type waitingEvent struct {
	*Event
	keys map[string]struct{} // those of the event; nil until one is merged into it
}

// maxMergedKeys bounds how many keys one event may have that others were merged into. More
// are lost, which is counted and logged: the handler cannot be keeping up by any measure.
const maxMergedKeys = 1 << 17

// drainTime bounds how long Close waits for the handler.
const drainTime = 5 * time.Second

func newEventQueue(o *Options, obs *observe.Observer) *eventQueue {
	return &eventQueue{
		cacheName: o.name, sourceID: o.sourceID, handler: o.eventHandler, size: o.eventBuffer,
		observe: obs, lost: observe.NewLine(), panics: observe.NewLine(), newest: make(map[EventType]*waitingEvent),
	}
}

// announcer tells of changes: the user's event handler, and the other nodes. It does not hold
// the cache.
type announcer struct {
	events *eventQueue     // nil if there is no handler
	sync   *coherence.Sync // nil if there is no link
	loads  bool            // WithSyncLoads
}

// listened reports whether anybody is told of changes.
func (a *announcer) listened() bool { return a.events != nil || a.sync != nil }

// announce returns what the other nodes are told of a change of writes, for the change to publish. It
// returns nil if the change cannot do that.
func (a *announcer) announce(event EventType, writes []*write) *remote.Announcement {
	if !a.sync.Carries() {
		return nil
	}
	keys := make([]string, len(writes))
	for i, w := range writes {
		keys[i] = w.Key
	}
	return a.sync.Announce(int(event), keys)
}

// changed tells that keys were changed, and waits until the bus has taken that.
func (a *announcer) changed(ctx context.Context, event EventType, keys []string) error {
	a.events.add(event, keys)
	if err := a.sync.Tell(ctx, int(event), keys); err != nil {
		what := quote.Key(keys[0])
		if len(keys) > 1 {
			what = fmt.Sprintf("%d keys", len(keys))
		}
		return fmt.Errorf("%w: %s: %w", ErrNotTold, what, err)
	}
	return nil
}

// tellOf tells of those of writes that did what the event says.
func (a *announcer) tellOf(ctx context.Context, event EventType, writes []*write) error {
	if !a.listened() {
		return nil
	}
	var keys []string
	for _, w := range writes {
		if w.event == event {
			keys = append(keys, w.Key)
		}
	}
	return a.changed(ctx, event, keys)
}

// loaded tells that recs were loaded. Other nodes are told, without waiting, only of what they
// have to hear: a load after a miss cannot make void what they have, as the fill rule and the
// remaining lifetimes let no local entry outlive the remote's. A refresh can, if the value is
// another one.
func (a *announcer) loaded(event int, recs []*record.Record) {
	keys := record.Keys(recs)
	a.events.add(EventType(event), keys)
	if !a.loads {
		keys = keys[:0:0]
		for _, rec := range recs {
			if rec.Changed {
				keys = append(keys, rec.Key)
			}
		}
	}
	a.sync.TellLater(event, keys)
}

// removed tells that keys were removed in the background: after a change of them had failed, or because a
// load has brought values that are too large to be stored.
func (a *announcer) removed(keys []string) {
	a.events.add(EventTypeDelete, keys)
	a.sync.TellLater(int(EventTypeDelete), keys)
}

// add has the handler told of a change of keys.
func (q *eventQueue) add(t EventType, keys []string) {
	if q == nil || len(keys) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) < q.size || !q.mergeLocked(t, keys) {
		// The handler may change the keys, and the link sends them, too.
		e := &waitingEvent{Event: &Event{q.cacheName, q.sourceID, t, slices.Clone(keys)}}
		q.waiting = append(q.waiting, e)
		q.newest[t] = e
	}
	if !q.running {
		q.running, q.idle = true, make(chan struct{})
		go q.run()
	}
}

// mergeLocked puts keys into the newest waiting event of their type: a key that is there
// already waits once. It reports false if no such event waits; there are few types, so
// the queue outgrows its size by less than their number.
func (q *eventQueue) mergeLocked(t EventType, keys []string) bool {
	e := q.newest[t]
	if e == nil {
		return false
	}
	if e.keys == nil {
		e.keys = make(map[string]struct{}, 2*len(e.Keys))
		for _, key := range e.Keys {
			e.keys[key] = struct{}{}
		}
	}
	lost := 0
	for _, key := range keys {
		if _, ok := e.keys[key]; ok {
			continue
		}
		if len(e.Keys) >= maxMergedKeys {
			lost++
			continue
		}
		e.keys[key] = struct{}{}
		e.Keys = append(e.Keys, key)
	}
	if lost > 0 {
		q.report(lost)
	}
	return true
}

// report counts and logs keys whose event is lost.
func (q *eventQueue) report(n int) {
	q.observe.EventKeysLost(n)
	q.observe.Error(q.lost, "the event handler is so slow that %d keys wait in one event; other nodes are not told of %d more", maxMergedKeys, n)
}

// run delivers what waits and then ends.
func (q *eventQueue) run() {
	drained := false
	defer func() {
		if !drained { // the handler ended this goroutine
			go q.run()
		}
	}()
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			drained = true
			q.running = false
			close(q.idle)
			q.mu.Unlock()
			return
		}
		e := q.waiting[0]
		q.waiting = q.waiting[1:]
		if q.newest[e.EventType] == e {
			delete(q.newest, e.EventType)
		}
		q.mu.Unlock()
		q.deliver(e.Event)
	}
}

func (q *eventQueue) deliver(e *Event) {
	defer func() {
		if r := recover(); r != nil {
			q.observe.Error(q.panics, "the event handler panicked: %v\n%s", r, debug.Stack())
		}
	}()
	q.handler(e)
}

// close waits until the events that wait have been delivered, for drainTime at most.
func (q *eventQueue) close() {
	if q == nil {
		return
	}
	q.mu.Lock()
	wait, idle := q.running && q.idle != q.givenUp, q.idle
	q.mu.Unlock()
	if !wait {
		return
	}
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		q.mu.Lock()
		defer q.mu.Unlock()
		q.givenUp = idle
		keys := 0
		for _, e := range q.waiting {
			keys += len(e.Keys)
		}
		q.observe.Warn(nil, "closed, but after %s the event handler is still busy with an event, and %d more with %d keys wait", drainTime, len(q.waiting), keys)
	}
}
