// Package schedule runs tasks again and again, one interval apart, for as long as somebody asks
// for what they keep fresh.
package schedule

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
)

// Config says what a Scheduler does.
type Config[J any] struct {
	// Interval is the time between two runs of a task. The first run is due one interval after
	// the task's registration, up to a twentieth of the interval earlier or later. So tasks that
	// were registered together do not run together. It also means that other nodes which run
	// the same tasks exactly at the interval come first for half of them, and this node for the
	// other half.
	Interval time.Duration
	// Idle is how long a task stays after its last touch. A task that has been idle for longer
	// ends when it is due.
	Idle time.Duration
	// Workers is how many tasks run at the same time.
	Workers int
	// Slow is how long a run occupies its worker. A run that takes longer lends its place to
	// another task, so that runs that hang do not hold up the others. At most lentFactor times
	// Workers places are lent.
	Slow time.Duration
	// MaxTasks is the largest number of tasks. When it is reached, a new task evicts the one that
	// was touched least recently.
	MaxTasks int
	// Evicted is called with the key of a task that was evicted.
	Evicted func(key string)
	// Run runs a task with its newest job. ctx ends with Close. attempt counts the runs of the
	// task within one interval, from 0. A panic of Run is recovered and given to Panicked.
	Run func(ctx context.Context, key string, job J, attempt int) Next
	// Panicked is called with the value and the stack of a panic of Run.
	Panicked func(key string, value any, stack []byte)
}

// Next says when a task runs again. Its zero value means one interval after this run was due.
type Next struct {
	// Again makes the task run again after this time, as another attempt of the same interval.
	// Zero or less means that there is no other attempt.
	Again time.Duration
	// Delay is added to the time at which the run of the next interval is due.
	Delay time.Duration
	// Suspect says that this run hung. The task then runs in a small pool of its own, where it
	// takes no place from healthy tasks, until one of its runs does not hang.
	Suspect bool
}

// lentFactor bounds the number of runs that take longer than Slow.
const lentFactor = 8

// Scheduler runs tasks. It has a timer and one goroutine for each task that is running, and no
// other goroutine. All of them end with Close. A Scheduler that is no longer reachable ends, too,
// even if its jobs refer to it: its runs are the last ones, and its timer fires once more and does
// nothing.
//
// Make one with New. Its methods may be called concurrently.
type Scheduler[J any] struct {
	Config[J]
	ctx    context.Context //nolint:containedctx // of all runs: Close ends it
	cancel context.CancelFunc

	tasks sync.Map // of key to *task[J]; written with mu held
	size  atomic.Int64

	mu      sync.Mutex
	pools   [2]pool[J]      // guarded by mu: the tasks that are not running, and the places to run
	byTouch touchHeap[J]    // guarded by mu: all tasks
	active  map[string]bool // guarded by mu: the keys that are running
	lent    int             // guarded by mu: how many places of the healthy pool are lent
	timer   *time.Timer     // guarded by mu: calls wake; nil until it is first needed
	wakeAt  time.Time       // guarded by mu: when the timer fires; zero if it is not set
	closed  bool            // guarded by mu
	runs    sync.WaitGroup  // added to with mu held
}

// New returns a Scheduler without tasks.
func New[J any](cfg Config[J]) *Scheduler[J] {
	s := &Scheduler[J]{Config: cfg, active: make(map[string]bool)}
	s.pools[healthy].places, s.pools[suspects].places = cfg.Workers, max(1, cfg.Workers/2)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Touch renews the interest in the task of a key, and its job. It registers the task if there is
// none. After Close it does nothing.
func (s *Scheduler[J]) Touch(key string, job J) {
	now := &touch[J]{time.Now(), job}
	if t, ok := s.tasks.Load(key); ok {
		t := t.(*task[J])
		t.latest.Store(now)
		if !t.removed.Load() { // see markRemoved
			return
		}
	}
	if evicted, ok := s.register(key, now); ok {
		s.Evicted(evicted)
	}
}

// register adds a task. ok is false if it has evicted no other.
func (s *Scheduler[J]) register(key string, now *touch[J]) (evicted string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", false
	}
	if t, ok := s.tasks.Load(key); ok { // another goroutine has registered it
		t.(*task[J]).latest.Store(now)
		return "", false
	}
	t := &task[J]{key: key, offset: jitter.Around(s.Interval / 10), nominal: now.at.Add(s.Interval), knownTouch: now.at}
	t.due = t.nominal.Add(t.offset)
	t.latest.Store(now)
	if s.Size() >= s.MaxTasks {
		evicted, ok = s.evictLocked(), true
	}
	s.tasks.Store(key, t)
	s.size.Add(1)
	heap.Push(&s.pools[healthy].waiting, t)
	heap.Push(&s.byTouch, t)
	s.dispatchLocked()
	return evicted, ok
}

// Forget ends the task of a key. A run that is under way goes on, and is the last one.
func (s *Scheduler[J]) Forget(key string) {
	if _, ok := s.tasks.Load(key); !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tasks.Load(key); ok {
		s.removeLocked(t.(*task[J]))
	}
}

// Size returns how many tasks there are.
func (s *Scheduler[J]) Size() int { return int(s.size.Load()) }

// Job returns the newest job of the task of a key. ok is false if there is no such task.
func (s *Scheduler[J]) Job(key string) (job J, ok bool) {
	t, ok := s.tasks.Load(key)
	if !ok {
		return job, false
	}
	return t.(*task[J]).latest.Load().job, true
}

// Close ends all tasks, cancels the runs that are under way and waits for them, but no longer than
// bound. It reports whether all runs have ended. It may be called more than once.
func (s *Scheduler[J]) Close(bound time.Duration) bool {
	s.mu.Lock()
	s.closed = true
	s.tasks.Range(func(_, t any) bool {
		s.removeLocked(t.(*task[J]))
		return true
	})
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.cancel()
	ended := make(chan struct{})
	go func() {
		s.runs.Wait()
		close(ended)
	}()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

// removeLocked removes a task.
func (s *Scheduler[J]) removeLocked(t *task[J]) {
	t.removed.Store(true)
	s.tasks.Delete(t.key)
	s.size.Add(-1)
	heap.Remove(&s.byTouch, t.touchIndex)
	if t.dueIndex >= 0 {
		heap.Remove(&s.pools[t.pool].waiting, t.dueIndex)
	}
}

// evictLocked removes the task that was touched least recently, and returns its key. A touch does
// not move a task in byTouch, so a task on top that has been touched since moves now.
func (s *Scheduler[J]) evictLocked() (key string) {
	for {
		t := s.byTouch[0]
		if t.markRemoved(func(latest time.Time) bool { return !latest.After(t.knownTouch) }) {
			s.removeLocked(t)
			return t.key
		}
		t.knownTouch = t.latest.Load().at
		heap.Fix(&s.byTouch, 0)
	}
}
