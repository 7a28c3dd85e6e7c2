package torture

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// duration returns how long the fleet is tortured: a few seconds, or as long as TORTURE says.
func duration(t *testing.T) (lasts time.Duration, long bool) {
	if text := os.Getenv("TORTURE"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("TORTURE=%s: give a duration, like 5m", text)
		}
		return d, true
	}
	if testing.Short() {
		return 3 * time.Second, false
	}
	return 6 * time.Second, false
}

// needsProcesses skips the test if the system cannot stop processes.
func needsProcesses(t *testing.T) {
	t.Helper()
	if !canStop {
		t.Skip("skipped: this system cannot stop and resume processes")
	}
}

func TestNoNodeServesWhatHasChanged(t *testing.T) {
	needsProcesses(t)
	lasts, long := duration(t)
	f := startFleet(t, long, func(*nodeConfig) {})
	end := time.Now().Add(lasts)
	f.round(min(lasts/8, 10*time.Second), false) // without troubles, for the figures of a healthy fleet
	for !t.Failed() && time.Now().Before(end) {
		f.round(min(time.Until(end), maxRound), true)
	}
	f.report()
}

// maxRound is how long troubles and writes last until all copies are compared with the database.
const maxRound = 10 * time.Second

// round drives the fleet for a while, waits until nothing is under way, and compares all copies
// with the database.
func (f *fleet) round(lasts time.Duration, troubled bool) {
	f.t.Helper()
	stop, calm := make(chan struct{}), make(chan struct{})
	driven, mended := f.drive(stop), func() {}
	if troubled {
		mended = f.trouble(calm)
	}
	for end := time.Now().Add(lasts); time.Now().Before(end) && f.judge.wrongs() == 0; {
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	driven() // during the troubles, so that no later write replaces those that fail now
	close(calm)
	mended()
	if troubled && f.mix.apart == 0 {
		f.failLast()
	}
	f.settle()
	for _, d := range f.compare() {
		f.t.Error(d)
	}
	if n := f.judge.wrongs(); n > 0 {
		f.t.Errorf("%d reads or writes were wrong", n)
	}
}

// Calls of the remote are carried out twice, and hardly anything else is wrong.
func TestNoNodeServesWhatARepeatBroughtBack(t *testing.T) {
	needsProcesses(t)
	lasts, long := duration(t)
	f := startFleet(t, long, func(*nodeConfig) {})
	f.deck, f.pause, f.disturb = newDeck(repeats), 50*time.Millisecond, nil
	f.database.tardy.Store(true) // loads last long enough for changes and repeats to come in between
	for end := time.Now().Add(lasts / 2); !t.Failed() && time.Now().Before(end); {
		for _, f.mix = range []mix{invalidations, replacements} {
			f.round(min(lasts/3, maxRound), true)
		}
	}
	f.report()
}

// Redis evicts keys, also fences, and everything else fails, too.
func TestNoNodeServesWhatAnEvictionLetIn(t *testing.T) {
	needsProcesses(t)
	lasts, long := duration(t)
	f := startFleet(t, long, func(*nodeConfig) {})
	f.evictions = newEvictions(f)
	f.database.tardy.Store(true) // loads last long enough for a change and an eviction to come in between
	for end := time.Now().Add(lasts / 2); !t.Failed() && time.Now().Before(end); {
		for _, f.mix = range []mix{usual, invalidations} {
			f.round(min(lasts/3, maxRound), true)
		}
	}
	f.report()
	e := f.evictions
	t.Logf("evicted: %d fences, %d of them closed, and %d other keys", e.fences.Load(), e.closed.Load(), e.others.Load())
	if e.fences.Load() == 0 {
		t.Error("no fence was evicted")
	}
}

// A replica that lacks the newest writes becomes the master, again and again.
func TestNoNodeGoesBackAfterAPromotion(t *testing.T) {
	needsProcesses(t)
	lasts, long := duration(t)
	p := newPair(t)
	f := startFleetOn(t, long, func(*nodeConfig) {}, p.master.Process)
	f.deck, f.late = newDeck(moments), 100*time.Millisecond // late news keep no load from being stored
	f.calm, f.disturb = 300*time.Millisecond, func(stop <-chan struct{}) { p.promote(f, stop) }
	f.database.tardy.Store(true) // loads are under way through promotions
	for end := time.Now().Add(lasts / 2); !t.Failed() && time.Now().Before(end); {
		for _, f.mix = range []mix{usual, invalidations} {
			f.round(min(lasts/3, maxRound), true)
		}
	}
	f.report()
	t.Logf("replicas were promoted %d times; %d keys had old versions then", p.promotions, p.revived)
	if p.promotions == 0 {
		t.Error("no replica was promoted")
	}
}

// Batches change a part of their keys: a node does not reach one master of a cluster, or pipelines are
// torn.
func TestNoNodeServesWhatAPartOfABatchLeft(t *testing.T) {
	needsProcesses(t)
	lasts, long := duration(t)
	f := startFleetOn(t, long, func(*nodeConfig) {}, redistest.NewCluster(t).Masters...)
	f.mix, f.deck = batches, newDeck(partly)
	for end := time.Now().Add(lasts / 2); !t.Failed() && time.Now().Before(end); {
		f.round(min(lasts/2, maxRound), true)
	}
	f.report()
}

// Many nodes, several of them in each process and on one client. In a long run, their links break now
// and then. So many nodes keep a small machine busy: the timeout of their calls is longer, as each call that
// times out costs another connection.
func TestNoNodeOfManyServesWhatHasChanged(t *testing.T) {
	needsProcesses(t)
	lasts, long := duration(t)
	processes, caches := 3, 8
	if long {
		processes, caches, lasts = 10, 20, min(max(lasts, time.Minute), 5*time.Minute)
	}
	const heartbeat = 500 * time.Millisecond
	f := newFleet(t, 4*heartbeat+2*slack, 1, redistest.NewProcess(t))
	f.deck, f.pause, f.compared = newDeck(broken), 5*time.Second, 2*hotKeys
	f.think = time.Duration(processes*caches) * 5 * time.Millisecond // otherwise they would only wait for the machine
	for p := range processes {
		data := f.proxy(f.redis.Addr())
		f.add(nodeConfig{
			Number: p * caches, Caches: caches, Data: data.Addr(), Database: f.database.addr(), Timeout: time.Second,
			Local: locals[p%len(locals)], LocalTTL: time.Hour, Heartbeat: heartbeat, Link: true, Fence: true, Lease: p%2 == 0,
		}, lines{data}, lines{data})
	}
	f.waitUntilReady()
	for end := time.Now().Add(lasts / 3); !t.Failed() && time.Now().Before(end); {
		f.round(min(lasts/3, 2*maxRound), long)
	}
	f.report()
}

// The next two tests show that the judge notices errors. Without fences, reads must be wrong.
func TestWithoutFencesLoadsPutBackWhatHasChanged(t *testing.T) {
	findsWrong(t, func(c *nodeConfig) { c.Fence = false })
}

// Without a link, reads must be wrong although nothing fails.
func TestWithoutALinkNodesServeWhatHasChanged(t *testing.T) {
	findsWrong(t, func(c *nodeConfig) { c.Link = false })
}

func findsWrong(t *testing.T, change func(c *nodeConfig)) {
	needsProcesses(t)
	f := startFleet(t, false, change)
	f.database.tardy.Store(true)
	stop := make(chan struct{})
	wait := f.drive(stop)
	began := time.Now()
	for time.Since(began) < 30*time.Second && f.judge.wrongs() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if f.judge.wrongs() == 0 {
		t.Error("no read was wrong")
	}
	t.Logf("the first wrong read came after %s", time.Since(began).Round(time.Millisecond))
	close(stop)
	wait()
	f.report()
}

// report logs the counts and the violations.
func (f *fleet) report() {
	f.t.Helper()
	for _, m := range f.nodes {
		m.note()
		m.addUp()
	}
	s := &f.sums
	f.t.Logf("in %s: links broke %d times, nodes were stopped %d times and killed %d times, Redis %d times; %d keys of failed batches were changed; %d gaps, %d fills refused\n%s",
		f.now().Round(time.Second), s.broken.Load(), s.stops.Load(), s.kills.Load(), s.redis.Load(), s.parts.Load(), s.gaps.Load(), s.refused.Load(),
		strings.TrimSpace(f.judge.report()))
}
