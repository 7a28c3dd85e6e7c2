package torture

import (
	"os"
	"strings"
	"testing"
	"time"
)

// duration returns how long the fleet is tortured: a few seconds, or what TORTURE says.
func duration(t *testing.T) time.Duration {
	if text := os.Getenv("TORTURE"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("TORTURE=%s: give a duration, like 5m", text)
		}
		return d
	}
	if testing.Short() {
		return 3 * time.Second
	}
	return 10 * time.Second
}

// needsProcesses skips the test where processes cannot be stopped.
func needsProcesses(t *testing.T) {
	t.Helper()
	if !canStop {
		t.Skip("skipped: this system cannot stop and resume processes")
	}
}

func TestNoNodeServesWhatHasChanged(t *testing.T) {
	needsProcesses(t)
	lasts := duration(t)
	f := startFleet(t, func(*nodeConfig) {})
	stop := make(chan struct{})
	driven := f.drive(stop)
	time.Sleep(lasts / 8) // for the figures of a fleet with nothing wrong
	mended := f.trouble(stop)
	for end := time.Now().Add(lasts); time.Now().Before(end) && f.judge.wrongs() == 0; {
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	mended()
	driven()
	f.settle()
	for _, d := range f.compare() {
		t.Error(d)
	}
	f.report()
	if n := f.judge.wrongs(); n > 0 {
		t.Errorf("%d reads were wrong", n)
	}
}

// The judge would notice: without fences …
func TestWithoutFencesLoadsPutBackWhatHasChanged(t *testing.T) {
	findsWrong(t, func(c *nodeConfig) { c.Fence = false })
}

// … and without a link, reads are wrong though nothing fails.
func TestWithoutALinkNodesServeWhatHasChanged(t *testing.T) {
	findsWrong(t, func(c *nodeConfig) { c.Link = false })
}

func findsWrong(t *testing.T, change func(c *nodeConfig)) {
	needsProcesses(t)
	f := startFleet(t, change)
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

// report logs what was seen.
func (f *fleet) report() {
	f.t.Helper()
	for _, m := range f.nodes {
		m.note()
		m.addUp()
	}
	s := &f.sums
	f.t.Logf("in %s: links broke %d times, nodes stood still %d times and died %d times, Redis did %d times; %d gaps, %d fills refused\n%s",
		f.now().Round(time.Second), s.broken.Load(), s.stops.Load(), s.kills.Load(), s.redis.Load(), s.gaps.Load(), s.refused.Load(),
		strings.TrimSpace(f.judge.report()))
}
