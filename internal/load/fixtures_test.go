package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ctx     = context.Background()
	errBoom = errors.New("boom")
)

// The lifetimes of the paths under test. Placeholders have no jitter.
const (
	remoteExpiry   = time.Hour
	notFoundExpiry = time.Minute
)

// world is a Path and what it connects.
type world struct {
	*Path
	t       *testing.T
	store   *store
	memory  *memory
	flights *flight.Table[record.Outcome]
	counts  *counts
	fence   *policy

	mu     sync.Mutex
	events []string // guarded by mu: what happened, in its order
}

// newWorld returns a world with both levels. A test can take one away.
func newWorld(t *testing.T) *world {
	w := &world{
		t: t, store: &store{data: make(map[string]string), ttl: make(map[string]time.Duration)},
		memory: &memory{Memory: remotetest.NewMemory()}, flights: flight.NewTable[record.Outcome](), counts: &counts{n: make(map[string]int)},
	}
	w.connect(true, true)
	return w
}

// connect makes the Path, over those of the two levels that there are.
func (w *world) connect(withLocal, withRemote bool) *world {
	o := observe.New("test", w.counts, silent{})
	l, r := level.NewLocal(nil), level.NewRemote(nil, level.Lifetime{}, o)
	if withLocal {
		l = level.NewLocal(w.store)
	}
	if withRemote {
		r = level.NewRemote(w.memory, level.Lifetime{Value: remoteExpiry, Placeholder: notFoundExpiry}, o)
	}
	w.fence = &policy{Off: fence.Off{Remote: r}, w: w}
	w.Path = &Path{
		Local: l, Remote: r, Fence: w.fence, Lease: lease.Off{}, Observe: o,
		Tell: func(event int, recs []*record.Record) {
			w.note("tell %d %s", event, strings.Join(record.Keys(recs), " "))
		},
		RemoteExpiry: remoteExpiry, NotFoundExpiry: notFoundExpiry, DoubtTimeout: time.Hour,
	}
	return w
}

// doubted puts in doubt what the local level has.
func (w *world) doubted() {
	d := new(doubt.Set)
	w.Local.Doubts, w.Remote.Doubts = d, d
	d.Gap()
}

func (w *world) note(format string, v ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf(format, v...))
}

// happened returns what happened since the last call.
func (w *world) happened() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := strings.Join(w.events, ", ")
	w.events = nil
	return all
}

// both returns what the levels have of key, as "local remote", with "-" for nothing.
func (w *world) both(key string) string {
	l, ok := w.store.Get(key)
	if !ok {
		l = []byte("-")
	}
	r, ok := w.memory.Peek(key)
	if !ok {
		r = "-"
	}
	return string(l) + " " + r
}

// call is a call of the path for keys, by a batch that leads all of them. It is the source of the
// values, too. A second batch has joined each key.
type call struct {
	*world
	Request
	keys  []string
	reads func(ctx context.Context, recs []*record.Record) // what is done; Run if it is nil

	// loader returns the values that there are, by key. There is none if it is nil.
	loader  func(ctx context.Context, keys []string) (map[string]string, error)
	prepare func(rec *record.Record) // changes a record before the call, if it is not nil
	resolve func(rec *record.Record) // is called first by Resolve, if it is not nil

	left   int    // keys that others are still loading after the call
	settle func() // waits for what goes on after the call, if it is not nil

	recs     []*record.Record
	claims   *flight.Batch[record.Outcome]
	asked    []string // what the loader was asked for
	values   map[string]string
	resolved map[string]int
	troubles []string
	results  map[string]result // what those who joined got
	ended    error             // why the load ended before its time
}

type result struct {
	out record.Outcome
	err error
}

func (w *world) call(keys ...string) *call {
	c := &call{world: w, keys: keys, resolved: make(map[string]int), results: make(map[string]result)}
	c.Request = Request{Source: c, Event: 7}
	return c
}

// loads gives c a loader that has these values: "k=v".
func (c *call) loads(values ...string) *call {
	c.loader = func(context.Context, []string) (map[string]string, error) {
		found := make(map[string]string)
		for _, kv := range values {
			k, v, _ := strings.Cut(kv, "=")
			found[k] = v
		}
		return found, nil
	}
	return c
}

// run makes the call, and checks what holds of every call: each record is resolved once, each
// caller that has joined gets the same, and nothing is left.
func (c *call) run() *call {
	c.t.Helper()
	return c.runWith(ctx)
}

func (c *call) runWith(ctx context.Context) *call {
	c.t.Helper()
	c.claims = c.flights.Claim(ctx, c.keys)
	joined := c.flights.Claim(context.Background(), c.keys)
	if len(c.claims.Owned) != len(c.keys) || len(joined.Owned) > 0 {
		c.t.Fatalf("it leads %d keys, and the other %d", len(c.claims.Owned), len(joined.Owned))
	}
	for i, key := range c.keys {
		rec := &record.Record{Key: key, Index: i, Note: c.claims.Note(i)}
		if c.prepare != nil {
			c.prepare(rec)
		}
		c.recs = append(c.recs, rec)
	}
	if c.reads == nil {
		c.reads = func(ctx context.Context, recs []*record.Record) { c.Run(ctx, &c.Request, recs) }
	}
	c.claims.Start(func(ctx context.Context) { c.reads(ctx, slices.Clone(c.recs)) })
	_, c.ended = c.claims.Wait(context.Background())
	c.claims.Leave()
	for n := range c.keys {
		var r result
		r.out, r.err = joined.WaitJoined(context.Background(), n)
		c.results[c.keys[n]] = r
	}
	joined.Leave()
	if c.ended == nil {
		for _, key := range c.keys {
			if n := c.resolved[key]; n != 1 {
				c.t.Errorf("%s was resolved %d times", key, n)
			}
		}
	}
	for key, n := range c.resolved {
		if n > 1 {
			c.t.Errorf("%s was resolved %d times", key, n)
		}
	}
	if c.settle != nil {
		c.settle()
	}
	if n := c.flights.Len(); n != c.left {
		c.t.Errorf("%d keys are left in the table", n)
	}
	return c
}

// result returns what became of key, as "kind from data", and an error.
func (c *call) result(key string) string {
	r := c.results[key]
	if r.err != nil {
		return "error: " + r.err.Error()
	}
	kind := map[record.Kind]string{record.Miss: "miss", record.Value: "value", record.NotFound: "not found"}[r.out.Kind]
	from := map[record.Source]string{record.Nowhere: "", record.Local: " local", record.Remote: " remote", record.Loader: " loader"}[r.out.From]
	data := ""
	if r.out.Kind == record.Value {
		data = " " + string(r.out.Data)
	}
	return kind + from + data
}

// want checks what became of keys: "k: value remote v".
func (c *call) want(results ...string) {
	c.t.Helper()
	for _, s := range results {
		key, want, _ := strings.Cut(s, ": ")
		if got := c.result(key); got != want {
			c.t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

// wantLevels checks what the levels have of keys: "k: local remote".
func (w *world) wantLevels(states ...string) {
	w.t.Helper()
	for _, s := range states {
		key, want, _ := strings.Cut(s, ": ")
		if got := w.both(key); got != want {
			w.t.Errorf("%s: the levels have %q, want %q", key, got, want)
		}
	}
}

// wantCounts checks the counts since the last call.
func (w *world) wantCounts(want string) {
	w.t.Helper()
	if got := w.counts.take(); got != want {
		w.t.Errorf("counted %q, want %q", got, want)
	}
}

// wantHappened checks what happened since the last call.
func (w *world) wantHappened(want string) {
	w.t.Helper()
	if got := w.happened(); got != want {
		w.t.Errorf("what happened is %q, want %q", got, want)
	}
}

func (c *call) Loads() bool { return c.loader != nil }

func (c *call) Load(ctx context.Context, recs []*record.Record) (keep func(), err error) {
	asked := record.Keys(recs)
	values, err := c.loader(ctx, asked)
	return func() {
		c.asked = asked
		if err != nil {
			return
		}
		c.values = values
		for _, rec := range recs {
			rec.Out.Kind = record.NotFound
			if _, ok := values[rec.Key]; ok {
				rec.Out.Kind = record.Value
			}
		}
	}, err
}

func (c *call) Failed(recs []*record.Record, err error) {
	for _, rec := range recs {
		rec.Err = err
		c.Resolve(rec)
	}
}

// unencodable is a value that cannot be encoded.
const unencodable = "unencodable"

func (c *call) Encode(rec *record.Record) ([]byte, error) {
	if v := c.values[rec.Key]; v != unencodable {
		return []byte(v), nil
	}
	return nil, fmt.Errorf("%s cannot be encoded", rec.Key)
}

// Accept takes everything that is not damaged.
func (c *call) Accept(rec *record.Record, out record.Outcome) error {
	if out.Kind == record.Value && strings.HasPrefix(string(out.Data), "damaged") {
		return fmt.Errorf("%s is damaged", rec.Key)
	}
	return nil
}

func (c *call) Resolve(rec *record.Record) {
	if c.resolve != nil {
		c.resolve(rec)
	}
	c.resolved[rec.Key]++
	c.claims.Resolve(rec.Index, rec.Out, rec.Err)
}

func (c *call) Trouble(doing string, keys int, err error) {
	c.troubles = append(c.troubles, fmt.Sprintf("%s %d: %v", doing, keys, err))
}

// policy is a fence.Policy that does what a test says, and otherwise what fence.Off does.
type policy struct {
	fence.Off
	w        *world
	distrust map[string]error
	fill     func(ctx context.Context, recs []*record.Record) error
	remove   func(ctx context.Context, recs []*record.Record) error
}

func (p *policy) Begin(_ context.Context, recs []*record.Record) {
	p.w.note("begin %s", strings.Join(record.Keys(recs), " "))
}

func (p *policy) Fill(ctx context.Context, recs []*record.Record) error {
	if p.fill != nil {
		return p.fill(ctx, recs)
	}
	return p.Off.Fill(ctx, recs)
}

func (p *policy) Remove(ctx context.Context, recs []*record.Record) error {
	p.w.note("remove %s", strings.Join(record.Keys(recs), " "))
	if p.remove != nil {
		return p.remove(ctx, recs)
	}
	return p.Off.Remove(ctx, recs)
}

func (p *policy) Pass(rec *record.Record) {
	p.w.note("pass %s", rec.Key)
	p.Off.Pass(rec)
}

func (p *policy) Trusted(recs []*record.Record) (trusted []*record.Record) {
	for _, rec := range recs {
		if err := p.distrust[rec.Key]; err != nil {
			rec.Got = record.Got{Err: err}
		} else {
			trusted = append(trusted, rec)
		}
	}
	return trusted
}

// memory is a remote in memory that also fails for some of the keys of a call.
type memory struct {
	*remotetest.Memory
	failing []string
}

func (m *memory) MGetWithTTL(ctx context.Context, keys ...string) (map[string]remote.Value, error) {
	found, err := m.Memory.MGetWithTTL(ctx, keys...)
	failed := make(map[string]error)
	for _, key := range keys {
		if slices.Contains(m.failing, key) {
			delete(found, key)
			failed[key] = errBoom
		}
	}
	if err == nil && len(failed) > 0 {
		err = &remote.KeysError{Op: "mget", Failed: failed}
	}
	return found, err
}

func (m *memory) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	values, err := m.MGetWithTTL(ctx, keys...)
	found := make(map[string]any, len(values))
	for key, v := range values {
		found[key] = v.Data
	}
	return found, err
}

// store is a local store that keeps what it is told for how long.
type store struct {
	mu    sync.Mutex
	data  map[string]string        // guarded by mu
	ttl   map[string]time.Duration // guarded by mu: zero if none was given
	onSet func(key string)         // is called by each Set, if it is not nil
}

func (s *store) Set(key string, data []byte) { s.SetWithTTL(key, data, 0) }

func (s *store) SetWithTTL(key string, data []byte, ttl time.Duration) {
	if s.onSet != nil {
		s.onSet(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[key], s.ttl[key] = string(data), ttl
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
	delete(s.ttl, key)
}

// life returns for how long key is kept.
func (s *store) life(key string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttl[key]
}

// counts is a stats.Handler.
type counts struct {
	mu sync.Mutex
	n  map[string]int // guarded by mu
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name]++
}

func (c *counts) IncrHit()            { c.add("h") }
func (c *counts) IncrMiss()           { c.add("m") }
func (c *counts) IncrLocalHit()       { c.add("lh") }
func (c *counts) IncrLocalMiss()      { c.add("lm") }
func (c *counts) IncrRemoteHit()      { c.add("rh") }
func (c *counts) IncrRemoteMiss()     { c.add("rm") }
func (c *counts) IncrQuery()          { c.add("q") }
func (c *counts) IncrQueryFail(error) { c.add("qf") }

// take returns the counts since the last call: "h*2 q".
func (c *counts) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, name := range []string{"h", "m", "lh", "lm", "rh", "rm", "q", "qf"} {
		if n := c.n[name]; n > 0 {
			parts = append(parts, name+cmp.Or(map[int]string{1: " "}[n], fmt.Sprintf("*%d ", n)))
		}
	}
	clear(c.n)
	return strings.TrimSpace(strings.Join(parts, ""))
}

// silent is a logger.Logger that writes nothing.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
