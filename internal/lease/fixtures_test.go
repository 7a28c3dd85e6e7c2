package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/lease"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

const (
	leaseTTL = 3 * time.Second
	// lookAgain is the longest pause between two looks of a node that waits.
	lookAgain = 100 * time.Millisecond
	// unfit is a key that cannot have a lease.
	unfit = "a}b"
)

var (
	ctx     = context.Background()
	errBoom = errors.New("boom")
)

// quiet drops log lines.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// fleet is nodes on one remote.
type fleet struct {
	*remotetest.Memory
	nodes []*node
	loads atomic.Int64 // calls of Load, by all nodes
	// load is the loader of all nodes: it returns the value of a key.
	load func(ctx context.Context, key string) (string, error)
}

// newFleet makes nodes over m, or over a store that wraps it. linked says whether they tell each
// other.
func newFleet(n int, linked bool, wrap func(m *remotetest.Memory) remote.Remote) *fleet {
	f := &fleet{Memory: remotetest.NewMemory()}
	f.load = func(_ context.Context, key string) (string, error) {
		time.Sleep(time.Second)
		return "v of " + key, nil
	}
	var store remote.Remote = f.Memory
	if wrap != nil {
		store = wrap(f.Memory)
	}
	for i := range n {
		calls := 0
		token := func() string { calls++; return fmt.Sprint("node", i, "call", calls) }
		nd := &node{fleet: f}
		tell := func(ctx context.Context, keys []string) {
			nd.note(ctx, keys)
			if linked {
				for _, other := range f.nodes {
					other.policy.Wake(keys)
				}
			}
		}
		r := level.NewRemote(store, level.Lifetime{}, observe.New("c", nil, quiet{}))
		nd.policy = lease.New(r, lease.Config{TTL: leaseTTL, Token: token, Tell: tell, Hears: func() bool { return false }})
		f.nodes = append(f.nodes, nd)
	}
	return f
}

// node is a Policy and its Steps.
type node struct {
	*fleet
	policy *lease.On

	mu     sync.Mutex
	told   []string // guarded by mu: the keys that it told others of
	toldOn []error  // guarded by mu: the errors of the contexts at those times
	loaded []string // guarded by mu
	read   []string // guarded by mu
	ended  []string // guarded by mu: the keys of records that have ended
}

func (n *node) note(ctx context.Context, keys []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told, n.toldOn = append(n.told, keys...), append(n.toldOn, ctx.Err())
}

// add adds the keys of recs to one of the lists of n.
func (n *node) add(list *[]string, recs ...*record.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*list = append(*list, record.Keys(recs)...)
}

// sorted returns one of the lists of n.
func (n *node) sorted(list *[]string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(*list)), " ")
}

func (n *node) Load(ctx context.Context, recs []*record.Record) {
	n.loads.Add(1)
	n.add(&n.loaded, recs...)
	for _, rec := range recs {
		value, err := n.load(ctx, rec.Key)
		if rec.Err = err; err == nil {
			rec.Out = record.Outcome{Data: []byte(value), Kind: record.Value, From: record.Loader}
			if value != notStored {
				n.Put(rec.Key, value)
				rec.Stored = record.Stored
			}
		}
	}
	n.add(&n.ended, recs...)
}

// notStored is a value that is loaded and cannot be stored.
const notStored = "not stored"

func (n *node) Read(_ context.Context, recs []*record.Record) (rest []*record.Record) {
	for _, rec := range recs {
		data, ok := n.Peek(rec.Key)
		if !ok {
			rest = append(rest, rec)
			continue
		}
		rec.Out = record.Read([]byte(data), record.Remote)
		n.add(&n.read, rec)
		n.add(&n.ended, rec)
	}
	return rest
}

func (n *node) Fail(rec *record.Record, err error) {
	rec.Err = err
	n.add(&n.ended, rec)
}

// get leads the loads of keys, and returns their results.
func (n *node) get(ctx context.Context, keys ...string) []*record.Record {
	recs := make([]*record.Record, len(keys))
	for i, key := range keys {
		recs[i] = &record.Record{Key: key}
	}
	n.policy.Lead(ctx, recs, n)
	return recs
}

// value returns the value of a record, or its error.
func value(rec *record.Record) string {
	if rec.Err != nil {
		return rec.Err.Error()
	}
	return string(rec.Out.Data)
}

// hold has another node hold the lease of a key.
func (f *fleet) hold(key, token string) {
	answers, err := f.AcquireLeases(ctx, leaseTTL, remote.LeaseAsk{Key: key, Token: token})
	if err != nil || answers[0].State != remote.LeaseWon {
		panic(fmt.Sprint(answers, err))
	}
}

// give has another node give back a lease.
func (f *fleet) give(key, token, failure string) {
	if _, err := f.ReleaseLeases(ctx, time.Second, remote.LeaseEnd{Key: key, Token: token, Failure: failure}); err != nil {
		panic(err)
	}
}

// leaseOf returns what the remote has as the lease of a key, "-" for nothing.
func (f *fleet) leaseOf(key string) string {
	at, _ := remote.LeaseKey(key)
	if data, ok := f.Peek(at); ok {
		return data
	}
	return "-"
}

// pass lets d pass in a bubble, and waits for all that is due by then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
