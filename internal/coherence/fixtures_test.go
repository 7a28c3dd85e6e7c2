package coherence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
	"github.com/mgtv-tech/jetcache-go/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ctx     = context.Background()
	errBoom = errors.New("boom")
)

const (
	heartbeat = 100 * time.Millisecond
	// blind is after how long a gap has been noticed for sure.
	blind = 10 * heartbeat
	bound = time.Second // of Close
)

// node is a Sync and what it connects.
type node struct {
	*Sync
	t     *testing.T
	cfg   Config
	store *store
	local *level.Local

	mu       sync.Mutex
	gaps     int      // guarded by mu: counted gaps
	lines    []string // guarded by mu: of the log, without those of level Debug
	happened []string // guarded by mu: the functions that were called
}

// newNode returns a node that is not started yet, whose link is on the bus if that is not nil. It
// is closed when the test ends.
func newNode(t *testing.T, bus *remotetest.Bus, name string) *node {
	n := &node{t: t, store: &store{data: make(map[string]string)}}
	n.local = level.NewLocal(n.store)
	n.cfg = Config{
		Observe:   observe.New("test", n, n),
		Local:     n.local,
		Heartbeat: heartbeat,
		Channel:   "changes",
		SourceID:  name,
		Instance:  name + " instance",
		Drop:      func(keys []string) { n.note("drop", keys...) },
		Wake:      func(keys []string) { n.note("wake", keys...) },
		Part:      func(age time.Duration) { n.note("part", age.String()) },
	}
	if bus != nil {
		n.cfg.Linked, n.cfg.Bus = true, bus
	}
	return n
}

// start makes the Sync and starts it.
func (n *node) start() *node {
	n.Sync = New(n.cfg)
	n.t.Cleanup(func() { n.Close(bound) })
	n.Start()
	return n
}

// linked returns a node that has been on the bus for long enough to know all others.
func linked(t *testing.T, bus *remotetest.Bus, name string) *node {
	n := newNode(t, bus, name).start()
	time.Sleep(4 * heartbeat)
	n.take()
	return n
}

func (n *node) note(what string, keys ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	keys = slices.Clone(keys)
	slices.Sort(keys)
	n.happened = append(n.happened, strings.TrimSpace(what+" "+strings.Join(keys, " ")))
}

// take returns the functions that were called since the last call.
func (n *node) take() string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.happened, ", ")
	n.happened = nil
	return all
}

// wantTaken checks the functions that were called since the last call.
func (n *node) wantTaken(want string) {
	n.t.Helper()
	if got := n.take(); got != want {
		n.t.Errorf("it called %q, want %q", got, want)
	}
}

// log returns the lines that were logged since the last call.
func (n *node) log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.lines, "\n")
	n.lines = nil
	return all
}

func (n *node) wantGaps(want int) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gaps != want {
		n.t.Errorf("it counted %d gaps, want %d", n.gaps, want)
	}
}

// wantDoubts checks which of the keys are in doubt.
func (n *node) wantDoubts(want string) {
	n.t.Helper()
	var doubted []string
	n.store.mu.Lock()
	for key := range n.store.data {
		if n.local.Doubts.Has(key) {
			doubted = append(doubted, key)
		}
	}
	n.store.mu.Unlock()
	slices.Sort(doubted)
	if got := strings.Join(doubted, " "); got != want {
		n.t.Errorf("in doubt: %q, want %q", got, want)
	}
}

// keep stores a key now.
func (n *node) keep(key string) { n.local.Set(key, []byte("v"), 0, n.local.Doubts.Now()) }

// A node is a stats.Handler that counts gaps.
var (
	_ stats.Handler     = (*node)(nil)
	_ stats.SyncCounter = (*node)(nil)
)

func (n *node) IncrHit()            {}
func (n *node) IncrMiss()           {}
func (n *node) IncrLocalHit()       {}
func (n *node) IncrLocalMiss()      {}
func (n *node) IncrRemoteHit()      {}
func (n *node) IncrRemoteMiss()     {}
func (n *node) IncrQuery()          {}
func (n *node) IncrQueryFail(error) {}
func (n *node) IncrSyncGap() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gaps++
}

// A node is a logger.Logger.

func (n *node) Debug(string, ...any)          {}
func (n *node) Info(format string, v ...any)  { n.logLine("info", format, v) }
func (n *node) Warn(format string, v ...any)  { n.logLine("warn", format, v) }
func (n *node) Error(format string, v ...any) { n.logLine("error", format, v) }
func (n *node) logLine(l, format string, v []any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, l+": "+fmt.Sprintf(format, v...))
}

// store is a local store of which a test says how old its entries are.
type store struct {
	mu     sync.Mutex
	data   map[string]string // guarded by mu
	oldest time.Time         // guarded by mu: what NoneBefore says; now, if it is zero and nothing is stored
	hidden bool              // guarded by mu: NoneBefore does not know
}

func (s *store) Set(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.data) == 0 && s.oldest.IsZero() {
		s.oldest = time.Now()
	}
	s.data[key] = string(data)
}

func (s *store) Get(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.data[key]
	return []byte(data), ok
}

func (s *store) Del(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.data, key)
}

func (s *store) NoneBefore() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.hidden:
		return time.Time{}
	case s.oldest.IsZero():
		return time.Now()
	}
	return s.oldest
}

// setOldest says that the store has nothing from before t.
func (s *store) setOldest(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest = t
}

// undated is a store that cannot tell how old its entries are.
type undated struct{ s *store }

func (u undated) Set(key string, data []byte)   { u.s.Set(key, data) }
func (u undated) Get(key string) ([]byte, bool) { return u.s.Get(key) }
func (u undated) Del(key string)                { u.s.Del(key) }
