package coherence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/link"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// tracking drops from the local level what the remote says has changed.
//
// The remote also tells of what this node has written itself, and the entry that was just stored
// locally should not be dropped for that. A message does not say whose write it was: Redis sends
// one for all changes of a key within a turn of its event loop, so a message may stand for our
// write and for another one right behind it. So a message about a key that this node has written
// lately (an echo) makes it compare what the remote has with what it wrote.
type tracking struct {
	s    *Sync
	line link.Line
	own  *ownWrites

	mu      sync.Mutex
	echoes  map[string]struct{} // guarded by mu: keys that wait to be compared
	running bool                // guarded by mu: compareAll has a goroutine
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
				cfg.Drop(t.sift(keys))
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

// sift returns those of keys that this node has not written lately, and has the others compared.
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
		go t.compareAll()
	}
	return foreign
}

// compareTimeout bounds the look into the remote for what this node has written.
const compareTimeout = 2 * time.Second

// compareAll compares what waits, and ends.
func (t *tracking) compareAll() {
	for {
		keys := t.next()
		if len(keys) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), compareTimeout)
		foreign := t.s.cfg.Compare(ctx, keys, t.own.is)
		cancel()
		for _, key := range foreign {
			t.own.forget(key)
		}
		t.s.cfg.Drop(foreign)
	}
}

// next takes what waits. If nothing does, the goroutine ends.
func (t *tracking) next() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]string, 0, len(t.echoes))
	for key := range t.echoes {
		keys = append(keys, key)
	}
	clear(t.echoes)
	t.running = len(keys) > 0
	return keys
}

// checkCoverage reports a key that is stored locally although no change of it will be heard of.
func (s *Sync) checkCoverage(key string) {
	if slices.ContainsFunc(s.cfg.Prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
		return
	}
	s.cfg.Observe.Error(s.warnings, "the local level keeps %q, but WithTracking was given no prefix of it: changes on other nodes are not noticed; add the prefix", key)
}
