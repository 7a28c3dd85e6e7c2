package cache

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/internal/link"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// tracking drops from the local level what the remote says has changed.
type tracking struct {
	line link.Line
	own  *ownWrites // of the remote level

	check   func(keys []string) // looks whether the remote still has what this node wrote
	mu      sync.Mutex
	echoes  map[string]struct{} // guarded by mu: keys that wait for check
	running bool                // guarded by mu: check has a goroutine
}

const allChanged = "the remote says that all keys have changed, as after FLUSHDB"

// startTracking has the remote tell c of changes. Nothing that runs keeps c alive.
func startTracking(c *jetCache, doubt sourceOfDoubt) *tracking {
	self, name := weak.Make(c), c.name
	tracker, prefixes := c.remote.store.(remote.Tracker), c.options.sync.prefixes
	t := &tracking{own: c.remote.own, echoes: make(map[string]struct{})}
	t.check = func(keys []string) {
		if c := self.Value(); c != nil {
			c.checkEchoes(keys)
		}
	}
	lines := limit.Limiter{Interval: troubleInterval}
	t.line = link.Line{
		Open: func(ctx context.Context, ready func()) error {
			return tracker.Track(ctx, prefixes, ready, func(keys []string) {
				c := self.Value()
				switch {
				case c == nil:
				case keys == nil:
					t.line.NoteGap(allChanged)
					doubt.gap(allChanged)
				default:
					c.dropLocally(t.sift(keys))
				}
			})
		},
		Down: doubt.down,
		Up:   doubt.up,
		Failed: func(err error) {
			held, ok := lines.Allow()
			switch {
			case !ok:
			case errors.Is(err, remote.ErrUnsupported):
				logger.Error("cache %s: WithTracking cannot work here: %v; the local level is used only when the remote does not answer (%d more such lines held back)", name, err, held)
			default:
				logger.Warn("cache %s: tracking of changes is down: %v (%d more such lines held back)", name, err, held)
			}
		},
	}
	t.line.Start()
	return t
}

func (t *tracking) waitReady(bound time.Duration) { t.line.WaitReady(bound) }

func (t *tracking) addTo(s *SyncState) {
	var l link.State
	t.line.AddTo(&l)
	s.Ready, s.Since, s.Err, s.Gaps, s.LastGap, s.GapCause = l.Ready, l.Since, l.Err, l.Gaps, l.LastGap, l.GapCause
}

func (t *tracking) close() { t.line.Close(closeTime) }

// The remote tells also of what this node has written itself, and the entry that was just put
// into the local level should not go for that. It cannot be told from the message whose write it
// was: Redis sends one for all changes of a key within a turn of its event loop, so that a
// message may stand for our write and for another that came right behind it. So a message about
// a key that this node has written lately makes it look whether the remote has what it wrote.

// sift returns those of keys that this node has not written lately, and has the others checked.
func (t *tracking) sift(keys []string) (foreign []string) {
	var echoes []string
	for _, key := range keys {
		if t.own.has(key) {
			echoes = append(echoes, key)
		} else {
			foreign = append(foreign, key)
		}
	}
	if len(echoes) == 0 {
		return foreign
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range echoes {
		t.echoes[key] = struct{}{}
	}
	if !t.running {
		t.running = true
		go t.checkAll()
	}
	return foreign
}

// checkAll checks what waits, and ends.
func (t *tracking) checkAll() {
	for {
		t.mu.Lock()
		if len(t.echoes) == 0 {
			t.running = false
			t.mu.Unlock()
			return
		}
		keys := make([]string, 0, len(t.echoes))
		for key := range t.echoes {
			keys = append(keys, key)
		}
		clear(t.echoes)
		t.mu.Unlock()
		t.check(keys)
	}
}

// checkTimeout bounds the look into the remote for what this node has written.
const checkTimeout = 2 * time.Second

// checkEchoes drops those of keys of which the remote has something else than what this node
// wrote last. Where it has just that, others may have changed it in between, and the local level
// may have what it read then, or a write may have been refused: so that must be the same, too.
func (c *jetCache) checkEchoes(keys []string) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	found, _ := c.remote.mget(ctx, keys, false) // what could not be read is dropped
	var changed []string
	for _, key := range keys {
		v, ok := found.get(key)
		if !ok || !c.syncer.tracking.own.is(key, v.data) {
			changed = append(changed, key)
			continue
		}
		c.flights.VoidReads(key, func() {
			if data, ok := c.local.get(key); ok && !bytes.Equal(data, v.data) {
				c.local.del(key)
			}
		})
	}
	for _, key := range changed {
		c.syncer.tracking.own.forget(key)
	}
	c.dropLocally(changed)
}

// coverage says which keys a cache hears of that does so by tracking alone.
type coverage struct {
	name     string // of the cache
	prefixes []string
	lines    limit.Limiter
}

// check warns of a key that is kept although no change of it will be heard of.
func (v *coverage) check(key string) {
	if v == nil || slices.ContainsFunc(v.prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
		return
	}
	if held, ok := v.lines.Allow(); ok {
		logger.Error("cache %s: the local level keeps %q, but WithTracking was given no prefix of it: changes on other nodes are not noticed; add the prefix (%d more such keys since the last such line)", v.name, key, held)
	}
}

// ownWrites remembers what this node has written lately.
type ownWrites struct {
	seed maphash.Seed

	mu    sync.Mutex
	sums  map[string]uint64 // guarded by mu: of the newest value of each key
	older map[string]uint64 // guarded by mu: those from before the last turn
	turn  time.Time         // guarded by mu
}

const (
	// echoTime is how long a write is remembered at the least: longer than it takes until the
	// remote has told of it.
	echoTime = 5 * time.Second
	// maxOwnWrites bounds how many are; a write that is forgotten is taken for a foreign one.
	maxOwnWrites = 1 << 16
)

func newOwnWrites() *ownWrites {
	return &ownWrites{seed: maphash.MakeSeed(), sums: make(map[string]uint64), turn: time.Now()}
}

// note notes that data is about to be written.
func (w *ownWrites) note(key string, data []byte) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sums) >= maxOwnWrites || time.Since(w.turn) > echoTime {
		w.older, w.sums, w.turn = w.sums, make(map[string]uint64), time.Now()
	}
	w.sums[key] = maphash.Bytes(w.seed, data)
	delete(w.older, key)
}

func (w *ownWrites) has(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.getLocked(key)
	return ok
}

// is reports whether data is what was last written under key.
func (w *ownWrites) is(key string, data []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum, ok := w.getLocked(key)
	return ok && sum == maphash.Bytes(w.seed, data)
}

func (w *ownWrites) getLocked(key string) (sum uint64, ok bool) {
	if sum, ok = w.sums[key]; !ok {
		sum, ok = w.older[key]
	}
	return sum, ok
}

func (w *ownWrites) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sums, key)
	delete(w.older, key)
}
