package torture

import (
	"math/rand/v2"
	"sync"
	"time"
)

// trouble is a fault of a node or of its links, for a random time between shortest and longest.
type trouble struct {
	name      string
	data, bus breakage // of its links
	stop      bool     // its process is stopped
	kill      bool     // its process is killed
	shortest  time.Duration
	longest   time.Duration
}

// breakage is a fault of a link.
type breakage uint8

const (
	whole breakage = iota
	slow           // all bytes are delayed
	cut            // connections break, and new ones break at once
	hole           // connections stay open, and nothing passes
	lossy          // some replies are lost, so that their calls are repeated
	torn           // most calls arrive in part
	tardy          // some calls are repeated, and their first attempts arrive afterwards
)

// troubles are all troubles. Very short ones are wanted, too.
var troubles = func() (all []trouble) {
	for b, name := range []string{"", "slow", "cut", "hole", "lossy", "torn", "tardy"} {
		if b := breakage(b); b != whole {
			all = append(all,
				trouble{name: "data " + name, data: b, longest: 2 * time.Second},
				trouble{name: "bus " + name, bus: b, longest: 2 * time.Second},
				trouble{name: "both " + name, data: b, bus: b, longest: 1500 * time.Millisecond},
			)
		}
	}
	return append(all,
		trouble{name: "bus slow", bus: slow, shortest: 2 * time.Second, longest: 4 * time.Second},
		trouble{name: "stop", stop: true, shortest: 200 * time.Millisecond, longest: 3 * time.Second},
		trouble{name: "stop", stop: true, longest: time.Second},
		trouble{name: "kill", kill: true, longest: 300 * time.Millisecond},
	)
}()

// repeats are the troubles that make calls of the remote run twice.
var repeats = []trouble{
	{name: "data lossy", data: lossy, shortest: time.Second, longest: 4 * time.Second},
	{name: "data tardy", data: tardy, shortest: time.Second, longest: 4 * time.Second},
}

// partly are troubles that let batches fail in part, and that let a node die between the parts.
var partly = []trouble{
	{name: "data torn", data: torn, shortest: time.Second, longest: 3 * time.Second},
	{name: "data cut", data: cut, longest: 2 * time.Second},
	{name: "data hole", data: hole, longest: 2 * time.Second},
	{name: "data lossy", data: lossy, longest: 2 * time.Second},
	{name: "data tardy", data: tardy, longest: 2 * time.Second},
	{name: "both cut", data: cut, bus: cut, longest: 2 * time.Second},
	{name: "bus torn", bus: torn, longest: 2 * time.Second},
	{name: "kill", kill: true, longest: 300 * time.Millisecond},
}

// moments are short troubles. Promotions, which do not come at the same time as others, wait for their
// ends.
var moments = []trouble{
	{name: "data hole", data: hole, longest: 200 * time.Millisecond},
	{name: "data cut", data: cut, longest: 200 * time.Millisecond},
	{name: "both tardy", data: tardy, bus: tardy, longest: 200 * time.Millisecond},
	{name: "bus slow", bus: slow, longest: 200 * time.Millisecond},
	{name: "stop", stop: true, longest: 200 * time.Millisecond},
	{name: "kill", kill: true, longest: 200 * time.Millisecond},
}

// broken are troubles without stopped or killed processes.
var broken = func() (some []trouble) {
	for _, t := range troubles {
		if !t.stop && !t.kill {
			some = append(some, t)
		}
	}
	return some
}()

// lateNews is the trouble of a node that only reads: it hears of changes late, so that fences alone
// keep it from storing what it has loaded.
var lateNews = []trouble{{name: "bus slow", bus: slow, shortest: time.Second, longest: 4 * time.Second}}

// deck deals troubles in a random order: all of them once, then again.
type deck struct {
	all []trouble

	mu   sync.Mutex
	left []trouble // guarded by mu
}

func newDeck(all []trouble) *deck { return &deck{all: all} }

// deal returns a trouble, and how long it lasts.
func (d *deck) deal() (t trouble, lasts time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.left) == 0 {
		for _, i := range rand.Perm(len(d.all)) {
			d.left = append(d.left, d.all[i])
		}
	}
	t, d.left = d.left[0], d.left[1:]
	return t, t.shortest + rand.N(t.longest-t.shortest)
}
