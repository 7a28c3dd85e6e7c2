package torture

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// fleet is everything that runs in a test: Redis, the database, the nodes, and the judge.
type fleet struct {
	t        testing.TB
	began    time.Time
	redis    *redistest.Process
	bound    time.Duration // see judge
	workers  int
	mix      mix
	judge    *judge
	database *database
	nodes    []*member
	deck     *deck
	pause    time.Duration // the longest one between two troubles of a node
	alone    sync.RWMutex  // held for reading by troubles of nodes, for writing by troubles of Redis
	updates  atomic.Uint64
	locks    [keys]sync.RWMutex // one for each key, held while the key is written; see operation.carries
	sums     sums
}

// member is a node in the view of the driver. Its process changes, its links stay.
type member struct {
	f         *fleet
	config    nodeConfig
	data, bus *faultproxy.Proxy // they are the same if the node has one client for both
	child     atomic.Pointer[child]
	state     atomic.Pointer[state] // the last known state of the process
}

// sums are the sums over all processes of all nodes.
type sums struct{ gaps, refused, kills, stops, broken, redis atomic.Uint64 }

const (
	keys = 60

	// bound is the documented time in which a node may return a version that another node has
	// changed: four heartbeats.
	bound = 4 * heartbeat
	// slack is added to bound on a machine that also runs other tests. longSlack is added on a
	// machine that does nothing else: there, no read was ever out of date for more than 250ms.
	slack     = 400 * time.Millisecond
	longSlack = 50 * time.Millisecond
	// grace is the time that bytes may take to arrive which a proxy has held back.
	grace = 500 * time.Millisecond
)

// startFleet starts a fleet, which ends with the test. The nodes differ in their local levels.
// change may change the configuration of each node. In a long run there are more workers, and the
// judge is stricter.
func startFleet(t testing.TB, long bool, change func(c *nodeConfig)) *fleet {
	t.Helper()
	redis := redistest.NewProcess(t)
	database, err := startDatabase()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.close)
	f := &fleet{t: t, began: time.Now(), redis: redis, bound: bound + slack, workers: workers, database: database, mix: usual}
	f.deck, f.pause = newDeck(troubles), 1500*time.Millisecond
	if long {
		f.bound, f.workers = bound+longSlack, longWorkers
	}
	f.judge = newJudge(f.bound, grace)
	for n := range nodes {
		m := &member{f: f, data: f.proxy(redis.Addr()), bus: f.proxy(redis.Addr())}
		m.config = nodeConfig{
			Number: n, Data: m.data.Addr(), Bus: m.bus.Addr(), Database: database.addr(),
			Local: locals[n%len(locals)], LocalTTL: time.Hour,
			Link: true, Fence: true, Lease: n == 1, BusTimeout: redisTimeout,
		}
		if n == 0 { // this node has one client for both
			m.bus, m.config.Bus = m.data, ""
		}
		if n == 2 { // this client waits far longer than a message may take
			m.config.BusTimeout = 3 * time.Second
		}
		if n == 1 { // entries in doubt end soon
			m.config.LocalTTL = 5 * time.Second
		}
		change(&m.config)
		if err := m.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.child.Load().kill() })
		f.nodes = append(f.nodes, m)
	}
	f.wait("ready", func(m *member) bool { return m.ask(request{How: asksState}).State.Ready })
	return f
}

func (f *fleet) proxy(to string) *faultproxy.Proxy {
	f.t.Helper()
	p, err := faultproxy.New(to)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = p.Close() })
	return p
}

// now returns the time by the clock of the driver.
func (f *fleet) now() instant { return time.Since(f.began) }

// wait waits until isSo is true for all nodes. what says for what it waits.
func (f *fleet) wait(what string, isSo func(m *member) bool) {
	f.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := 0
		for _, m := range f.nodes {
			if why, dead := m.child.Load().died(); dead {
				f.t.Fatalf("node %d has ended: %s", m.config.Number, why)
			}
			if !isSo(m) {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("%d nodes are not %s", left, what)
		}
	}
}

// start starts the node's process.
func (m *member) start() error {
	config, err := json.Marshal(m.config)
	if err != nil {
		return err
	}
	now := m.f.now()
	m.f.judge.happened(m.config.Number, now, "starts", func(t *timeline) { t.started = now })
	c, err := startChild(nodeVariable, string(config))
	if err == nil {
		m.child.Store(c)
	}
	return err
}

// ask asks the node's process. If it does not answer, the error is in the answer.
func (m *member) ask(q request) answer {
	a, err := m.child.Load().ask(q)
	if err != nil {
		a.Err = err.Error()
	}
	if errors.Is(err, errSilent) {
		m.f.t.Errorf("node %d does not answer to %+v", m.config.Number, q)
	}
	if len(a.Versions) != len(q.Keys) {
		a.Versions = make([]int64, len(q.Keys))
	}
	return a
}

// note records the node's state. addUp adds the last recorded state of a process to the sums.
func (m *member) note() {
	if a := m.ask(request{How: asksState}); a.Err == "" {
		m.state.Store(&a.State)
	}
}

func (m *member) addUp() {
	if s := m.state.Swap(nil); s != nil {
		m.f.sums.gaps.Add(s.Gaps)
		m.f.sums.refused.Add(s.Refused)
	}
}

// happened tells the judge what happens to the node now.
func (m *member) happened(what string, change func(t *timeline, now instant)) {
	now := m.f.now()
	m.f.judge.happened(m.config.Number, now, what, func(t *timeline) { change(t, now) })
}
