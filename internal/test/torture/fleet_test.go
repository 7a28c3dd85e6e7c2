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
	t         testing.TB
	began     time.Time
	redis     *redistest.Process   // nil if there is a cluster
	masters   []*redistest.Process // of the cluster; otherwise only redis
	bound     time.Duration        // see judge
	workers   int
	compared  int // the number of keys that are compared with the database in the end of a round
	mix       mix
	judge     *judge
	database  *database
	nodes     []*member
	processes []*process
	deck      *deck
	pause     time.Duration              // the longest one between two troubles of a node
	late      time.Duration              // how late news come to a node that only reads; zero if that is one of the troubles
	think     time.Duration              // the longest one between two calls of a worker
	evictions *evictions                 // nil if Redis evicts nothing
	disturb   func(stop <-chan struct{}) // makes a trouble of Redis; nil if there are none
	calm      time.Duration              // the longest time between two troubles of Redis
	alone     sync.RWMutex               // held for reading by troubles of nodes, for writing by troubles of Redis
	updates   atomic.Uint64
	locks     [keys]sync.RWMutex // one for each key, held while the key is written; see operation.carries
	sums      sums
}

// process is a process with one node or several, in the view of the driver. The child changes, the
// links stay.
type process struct {
	config    nodeConfig
	data, bus lines // they are the same if the nodes have one client for both
	child     atomic.Pointer[child]
	members   []*member
}

// member is a node in the view of the driver.
type member struct {
	*process
	f      *fleet
	number int
	index  int                   // in its process
	state  atomic.Pointer[state] // the last known state
}

// sums are the sums over all processes of all nodes.
type sums struct{ gaps, refused, kills, stops, broken, redis, parts atomic.Uint64 }

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

// startFleet starts a fleet of three processes with one cache each, which ends with the test. The
// nodes differ in their local levels. change may change the configuration of each node. In a long run
// there are more workers, and the judge is stricter.
func startFleet(t testing.TB, long bool, change func(c *nodeConfig)) *fleet {
	t.Helper()
	return startFleetOn(t, long, change, redistest.NewProcess(t))
}

// startFleetOn is startFleet on one Redis, or on the masters of a cluster.
func startFleetOn(t testing.TB, long bool, change func(c *nodeConfig), masters ...*redistest.Process) *fleet {
	t.Helper()
	f := newFleet(t, bound+slack, workers, masters...)
	f.compared = 4 * hotKeys
	if long {
		f = newFleet(t, bound+longSlack, longWorkers, masters...)
	}
	for n := range nodes {
		data, bus := f.lines(), f.lines()
		c := nodeConfig{
			Number: n, Data: data[0].Addr(), Bus: bus[0].Addr(), Masters: f.mastersBy(data), BusMasters: f.mastersBy(bus), Database: f.database.addr(),
			Local: locals[n%len(locals)], LocalTTL: time.Hour, Heartbeat: heartbeat,
			Link: true, Fence: true, Lease: n == 1, BusTimeout: redisTimeout,
		}
		if n == 0 { // this node has one client for both
			bus, c.Bus, c.BusMasters = data, "", nil
		}
		if n == 2 { // this client waits far longer than a message may take
			c.BusTimeout = 3 * time.Second
		}
		if n == 1 { // entries in doubt end soon
			c.LocalTTL = 5 * time.Second
		}
		change(&c)
		f.add(c, data, bus)
	}
	f.waitUntilReady()
	return f
}

// newFleet returns a fleet without nodes. bound is that of its judge.
func newFleet(t testing.TB, bound time.Duration, workers int, masters ...*redistest.Process) *fleet {
	t.Helper()
	database, err := startDatabase()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.close)
	f := &fleet{
		t: t, calm: 10 * time.Second, began: time.Now(), masters: masters, bound: bound, workers: workers, database: database,
		judge: newJudge(bound, grace), mix: usual, deck: newDeck(troubles), pause: 1500 * time.Millisecond, think: 4 * time.Millisecond, compared: keys,
	}
	f.disturb = f.pauseMaster
	if len(masters) == 1 {
		f.redis, f.disturb = masters[0], f.sufferTogether
	}
	return f
}

// add starts a process and adds its nodes.
func (f *fleet) add(c nodeConfig, data, bus lines) {
	f.t.Helper()
	p := &process{config: c, data: data, bus: bus}
	for i := range max(1, c.Caches) {
		m := &member{process: p, f: f, number: c.Number + i, index: i}
		p.members = append(p.members, m)
		f.nodes = append(f.nodes, m)
	}
	f.processes = append(f.processes, p)
	if err := p.members[0].start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { p.child.Load().kill() })
}

func (f *fleet) waitUntilReady() {
	f.t.Helper()
	f.wait("ready", func(m *member) bool { return m.ask(request{How: asksState}).State.Ready })
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

// lines returns a proxy to each master.
func (f *fleet) lines() (all lines) {
	for _, m := range f.masters {
		all = append(all, f.proxy(m.Addr()))
	}
	return all
}

// mastersBy returns the addresses of proxies by those of their masters, nil if there is no cluster.
func (f *fleet) mastersBy(proxies lines) map[string]string {
	if len(f.masters) == 1 {
		return nil
	}
	by := make(map[string]string)
	for i, m := range f.masters {
		by[m.Addr()] = proxies[i].Addr()
	}
	return by
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
				f.t.Fatalf("node %d has ended: %s", m.number, why)
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

// start starts the process of the node.
func (m *member) start() error {
	config, err := json.Marshal(m.config)
	if err != nil {
		return err
	}
	now := m.f.now()
	for _, m := range m.members {
		m.f.judge.happened(m.number, now, "starts", func(t *timeline) { t.started = now })
	}
	c, err := startChild(nodeVariable, string(config))
	if err == nil {
		m.child.Store(c)
	}
	return err
}

// ask asks the node's process. If it does not answer, the error is in the answer.
func (m *member) ask(q request) answer {
	q.Cache = m.index
	a, err := m.child.Load().ask(q)
	if err != nil {
		a.Err = err.Error()
	}
	if errors.Is(err, errSilent) {
		m.f.t.Errorf("node %d does not answer to %+v", m.number, q)
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

// noteAll is note for all nodes of the process.
func (m *member) noteAll() {
	for _, mate := range m.members {
		mate.note()
	}
}

func (m *member) addUp() {
	if s := m.state.Swap(nil); s != nil {
		m.f.sums.gaps.Add(s.Gaps)
		m.f.sums.refused.Add(s.Refused)
	}
}

// happened tells the judge what happens now to the nodes of the process.
func (m *member) happened(what string, change func(t *timeline, now instant)) {
	now := m.f.now()
	for _, m := range m.members {
		m.f.judge.happened(m.number, now, what, func(t *timeline) { change(t, now) })
	}
}
