package coherence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/link"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// tracking drops from the local level the keys that the remote reports as changed.
//
// The remote also reports what this node has written itself. The local entry that was just stored
// should stay then. But a message does not say whose write it reports: Redis sends one message for
// all changes of a key within a turn of its event loop, so a message may stand for our write and for
// another one right after it. So a message about a key that this node has written lately (an echo)
// makes the node compare what the remote has with what it wrote: the value, and what must be left of
// its lifetime, because another node can change the one without the other.
type tracking struct {
	s    *Sync
	line link.Line
	own  *ownWrites

	mu     sync.Mutex
	echoes map[string]struct{} // guarded by mu: keys that wait to be compared
	idle   chan struct{}       // guarded by mu: closed when compareAll has ended; nil if it does not run
}

const allChanged = "the remote says that all keys have changed, as after FLUSHDB"

func newTracking(s *Sync) *tracking {
	return &tracking{s: s, own: newOwnWrites(), echoes: make(map[string]struct{})}
}

func (t *tracking) start() {
	cfg, doubt := &t.s.cfg, t.s.source()
	t.line = link.Line{
		Open: func(ctx context.Context, ready func()) error {
			return cfg.Track(ctx, cfg.Prefixes, ready, func(keys []string) {
				if keys == nil {
					t.line.NoteGap(allChanged)
					doubt.gap(allChanged)
					return
				}
				t.drop(t.sift(ctx, keys))
			})
		},
		Down: doubt.down,
		Up:   doubt.up,
		Failed: func(err error) {
			if errors.Is(err, remote.ErrUnsupported) {
				cfg.Observe.Error(t.s.missed, "WithTracking cannot work here: %v; the local level is used only when the remote does not answer", err)
				return
			}
			cfg.Observe.Warn(t.s.missed, "tracking of changes is down: %v", err)
		},
	}
	t.line.Start()
}

// close ends the subscription and waits for all goroutines, until end.
func (t *tracking) close(end time.Time) {
	t.line.Close(time.Until(end))
	t.mu.Lock()
	idle := t.idle
	t.mu.Unlock()
	if idle != nil {
		waitUntil(end, idle)
	}
}

// drop drops the keys that another node has changed.
func (t *tracking) drop(foreign []string) {
	if len(foreign) > 0 {
		t.s.cfg.Drop(foreign)
	}
}

// sift returns those of keys that this node has not written lately. It has the others compared, by
// a goroutine that runs while there are any. ctx ends when the tracking does.
func (t *tracking) sift(ctx context.Context, keys []string) (foreign []string) {
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
	if t.idle == nil {
		t.idle = make(chan struct{})
		go t.compareAll(ctx)
	}
	return foreign
}

// compareTimeout bounds a read of the remote for what this node has written.
const compareTimeout = 2 * time.Second

// compareAll compares the keys that wait. It ends when none do.
func (t *tracking) compareAll(ctx context.Context) {
	for {
		keys := t.next()
		if len(keys) == 0 {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, compareTimeout)
		foreign := t.s.cfg.Compare(bounded, keys, t.own.is)
		cancel()
		for _, key := range foreign {
			t.own.forget(key)
		}
		t.drop(foreign)
	}
}

// next takes the keys that wait. If there are none, the goroutine must end.
func (t *tracking) next() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]string, 0, len(t.echoes))
	for key := range t.echoes {
		keys = append(keys, key)
	}
	clear(t.echoes)
	if len(keys) == 0 {
		close(t.idle)
		t.idle = nil
	}
	return keys
}

// checkCoverage logs a key that is stored locally although this node does not hear of its changes.
func (s *Sync) checkCoverage(key string) {
	if slices.ContainsFunc(s.cfg.Prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
		return
	}
	s.cfg.Observe.Error(s.warnings, "the local level keeps %s, but WithTracking was given no prefix of it: changes on other nodes are not noticed; add the prefix", quote.Key(key))
}
