package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// nodeVariable is an environment variable that makes this program a node. Its value is a
// nodeConfig.
const nodeVariable = "JETCACHE_TORTURE_NODE"

func TestMain(m *testing.M) {
	if config := os.Getenv(nodeVariable); config != "" {
		runNode(config)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// nodeConfig configures a node.
type nodeConfig struct {
	Number     int    // of the first cache of the process
	Caches     int    // of the process, which share its clients; zero means one
	Data       string // the address of Redis for reads and writes
	Bus        string // the address of Redis for messages; empty if they take the way of the data
	BusTimeout time.Duration
	Heartbeat  time.Duration
	// Masters has the address of each master of a cluster, and the address for reads and writes there;
	// BusMasters has the address for messages. They are nil if there is no cluster.
	Masters, BusMasters map[string]string
	Timeout             time.Duration // of the calls of Redis; zero means redisTimeout
	Database            string
	Local               string // the kind of its local level
	LocalTTL            time.Duration
	Link                bool
	Fence               bool
	Lease               bool
}

const (
	heartbeat = 100 * time.Millisecond
	// redisTimeout is the timeout of the calls of Redis. It is short, so that there are many
	// failures.
	redisTimeout = 300 * time.Millisecond
	// doubtTimeout is about as long as a call of Redis takes that fails.
	doubtTimeout = 4 * redisTimeout
	// callTime bounds a call of the cache.
	callTime = 4 * time.Second

	prefix  = "row"
	channel = "jetcache:sync:torture"
)

// row is a row, which the nodes cache.
type row struct {
	Key     int
	Version int64
}

// node is the process of a node: a cache, and a connection to the database.
type node struct {
	cache.Cache
	rows     *cache.T[int, row]
	database *asker[query, []int64]
	failures *remoteFailures
	slow     *slowCalls // of the client, for reads and writes
}

// remoteFailures counts the calls of the remote that failed.
type remoteFailures struct {
	stats.Handler
	n atomic.Uint64
}

func (f *remoteFailures) IncrRemoteError(string, error) { f.n.Add(1) }

// runNode answers requests until the standard input ends. It also ends when the driver dies.
func runNode(config string) {
	var c nodeConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		panic(err)
	}
	conn, err := net.Dial("tcp", c.Database)
	if err != nil {
		panic(err)
	}
	database := newAsker[query, []int64](conn, conn, func() {})
	clients := clientsOf(c)
	nodes := make([]*node, max(1, c.Caches))
	for i := range nodes {
		nodes[i] = newNode(c, clients, database)
		c.Number++
	}
	answerAll(os.Stdin, os.Stdout, func(q request) answer { return nodes[q.Cache].answer(q) })
}

func newNode(c nodeConfig, clients clients, database *asker[query, []int64]) *node {
	n := &node{database: database, failures: &remoteFailures{Handler: stats.NewHandles(true)}, slow: clients.slow}
	opts := []cache.Option{
		cache.WithName("torture"),
		cache.WithSourceId(fmt.Sprintf("%d/%d", c.Number, os.Getpid())),
		cache.WithRemote(remote.NewGoRedisV9Adapter(clients.data)),
		cache.WithLocal(newLocal(c.Local, c.LocalTTL)),
		cache.WithRefreshDuration(time.Second),
		cache.WithStatsHandler(n.failures),
	}
	if c.Link {
		opts = append(opts,
			cache.WithSyncLocal(true),
			cache.WithSyncChannel(channel),
			cache.WithSyncHeartbeat(c.Heartbeat),
			cache.WithDoubtTimeout(doubtTimeout),
		)
		if clients.bus != nil {
			opts = append(opts, cache.WithSyncBus(remote.NewGoRedis(clients.bus).(remote.Bus)))
		}
	}
	if c.Fence {
		opts = append(opts, cache.WithFence(maxLoad))
	}
	if c.Lease {
		opts = append(opts, cache.WithLease(maxLoad/2))
	}
	n.Cache = cache.New(opts...)
	n.rows = cache.NewT[int, row](n.Cache)
	return n
}

// locals are the kinds of local levels. All of them have room for fewer rows than there are.
var locals = []string{"Otter", "TinyLFU", "FreeCache"}

func newLocal(kind string, ttl time.Duration) local.Local {
	switch kind {
	case "TinyLFU":
		return local.NewTinyLFU(keys/2, ttl)
	case "FreeCache":
		return local.NewFreeCache(512*local.KB, ttl)
	}
	return local.NewOtter(keys/2, ttl)
}

// answer carries out a request of the driver.
func (n *node) answer(q request) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	before, slow, doubted, unanswered := n.failures.n.Load(), n.slow.ended(), n.doubts(), n.repairs() > 0
	a.Versions = make([]int64, len(q.Keys))
	var err error
	switch {
	case q.How == asksState:
		a.State = n.state()
	case q.Update != 0:
		err = n.write(ctx, q)
	default:
		err = n.read(ctx, q, a.Versions)
	}
	if a.Lost = onlyLost(err); a.Lost {
		err = nil
	}
	if err != nil {
		a.Err, a.Done = err.Error(), n.doneOf(err, q)
	}
	a.Doubted = doubted || n.doubts()
	a.Unanswered = unanswered || n.repairs() > 0 || n.failures.n.Load() != before || n.slow.since(slow)
	return a
}

// onlyLost reports whether nothing else is wrong with a Mutate than that a fence was lost.
func onlyLost(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) { // it is nil for an error that joins others
		if err == cache.ErrFenceLost { // not errors.Is: an error that joins others must not count
			return true
		}
	}
	return false
}

// doneOf returns which keys a batch has changed, although it returned err: those that a
// remote.KeysError does not name.
func (n *node) doneOf(err error, q request) []bool {
	if q.How != setsAll && q.How != deletesAll {
		return nil
	}
	for ; err != nil; err = errors.Unwrap(err) {
		some, ok := err.(*remote.KeysError) // not errors.As: with an error that joins others, it is not known
		if !ok {
			continue
		}
		done := make([]bool, len(q.Keys))
		for i, key := range q.Keys {
			_, failed := some.Failed[fmt.Sprint(prefix, ":", key)]
			done[i] = !failed
		}
		return done
	}
	return nil
}

func (n *node) doubts() bool { return cache.SyncStateOf(n.Cache).InDoubt }
func (n *node) repairs() int { return cache.SyncStateOf(n.Cache).Repairs }

func (n *node) state() state {
	s := cache.SyncStateOf(n.Cache)
	return state{s.Ready || !s.Linked, s.Gaps, s.GapCause, s.Waiting, s.FillsRefused, s.Repairs}
}

// read reads rows and puts their versions into versions.
func (n *node) read(ctx context.Context, q request, versions []int64) error {
	if q.How == gathers {
		found, err := n.rows.MGetWithErr(ctx, prefix, q.Keys, n.loadAll)
		if err != nil {
			return err
		}
		for i, key := range q.Keys {
			versions[i] = notThere
			if r, ok := found[key]; ok {
				versions[i] = r.versionOf(key)
			}
		}
		return nil
	}
	id := q.Keys[0]
	key := fmt.Sprint(prefix, ":", id)
	load := cache.Do(func(ctx context.Context) (any, error) { return n.load(ctx, id) })
	var r row
	var err error
	switch q.How {
	case gets:
		r, err = n.rows.Get(ctx, prefix, id, n.load)
	case fetches:
		err = n.Once(ctx, key, cache.Value(&r), load)
	case refreshesOnce:
		err = n.Once(ctx, key, cache.Value(&r), load, cache.Refresh(true))
	case peeks:
		err = n.Get(ctx, key, &r)
	case peeksRemotely:
		err = n.GetSkippingLocal(ctx, key, &r)
	case fetchesPast:
		r, err = n.rows.Fetch(ctx, prefix, id, n.load, cache.SkipLocal(true))
	case refreshes:
		r, err = n.rows.Fetch(ctx, prefix, id, n.load, cache.Refresh(true))
	default:
		return fmt.Errorf("unknown: %q", q.How)
	}
	switch {
	case err == nil:
		versions[0] = r.versionOf(id)
	case errors.Is(err, cache.ErrNotFound):
		versions[0] = notThere
	case !errors.Is(err, cache.ErrCacheMiss):
		return err
	}
	return nil
}

// versionOf returns the version of a row that was read under key. For the row of another key it
// returns a version that the database never has.
func (r row) versionOf(key int) int64 {
	if r.Key != key {
		return 1 << 62
	}
	return r.Version
}

// write updates rows in the database, and then the cache, as a service does.
func (n *node) write(ctx context.Context, q request) error {
	if q.How == mutates {
		return n.rows.Mutate(ctx, prefix, q.Keys, func(ctx context.Context) error {
			_, err := n.update(ctx, q)
			return err
		})
	}
	versions, err := n.update(ctx, q)
	if err != nil {
		return err
	}
	how := q.How
	if slices.ContainsFunc(versions, absent) && (how == sets || how == setsAll) {
		how = deletesAll // there is no value
	}
	id := q.Keys[0]
	switch how {
	case deletes:
		return n.rows.Delete(ctx, prefix, id)
	case deletesAll:
		return n.rows.MDelete(ctx, prefix, q.Keys)
	case sets:
		return n.rows.Set(ctx, prefix, id, row{id, versions[0]})
	case setsAll:
		values := make(map[int]row, len(versions))
		for i, key := range q.Keys {
			values[key] = row{key, versions[i]}
		}
		return n.rows.MSet(ctx, prefix, values)
	case setsLoaded:
		return n.Set(ctx, fmt.Sprint(prefix, ":", id), cache.Do(func(ctx context.Context) (any, error) { return n.load(ctx, id) }))
	}
	return fmt.Errorf("unknown: %q", q.How)
}

func (n *node) update(ctx context.Context, q request) ([]int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // Mutate waited too long
	}
	return n.database.ask(query{Keys: q.Keys, Update: q.Update})
}

// load loads a row from the database.
func (n *node) load(_ context.Context, key int) (row, error) {
	versions, err := n.database.ask(query{Keys: []int{key}})
	if err != nil {
		return row{}, err
	}
	if absent(versions[0]) {
		return row{}, cache.ErrNotFound
	}
	return row{key, versions[0]}, nil
}

func (n *node) loadAll(_ context.Context, keys []int) (map[int]row, error) {
	versions, err := n.database.ask(query{Keys: keys})
	if err != nil {
		return nil, err
	}
	rows := make(map[int]row, len(keys))
	for i, key := range keys {
		if !absent(versions[i]) {
			rows[key] = row{key, versions[i]}
		}
	}
	return rows, nil
}
