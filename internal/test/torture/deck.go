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
)

// troubles are all troubles. Very short ones are wanted, too.
var troubles = func() (all []trouble) {
	for b, name := range []string{"", "slow", "cut", "hole"} {
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

// deck deals the troubles in a random order: all of them once, then again.
type deck struct {
	mu   sync.Mutex
	left []trouble // guarded by mu
}

// deal returns a trouble, and how long it lasts.
func (d *deck) deal() (t trouble, lasts time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.left) == 0 {
		for _, i := range rand.Perm(len(troubles)) {
			d.left = append(d.left, troubles[i])
		}
	}
	t, d.left = d.left[0], d.left[1:]
	return t, t.shortest + rand.N(t.longest-t.shortest)
}
