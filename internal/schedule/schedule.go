// Package schedule runs tasks again and again, each one interval after the last time,
// for as long as somebody asks for what it keeps fresh.
package schedule

import (
	"container/heap"
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
)

// Config says what a Scheduler does.
type Config[J any] struct {
	// Interval is how often a task runs. The first run is one interval after the task's
	// registration and up to a tenth of it later, so that tasks that were registered
	// together do not run together.
	Interval time.Duration
	// Idle is how long a task goes on after it was last touched.
	Idle time.Duration
	// Workers is how many tasks run at a time.
	Workers int
	// Slow is how long a run keeps its worker to itself. After that another task gets
	// the place, so that runs that hang do not hold up the rest; up to lentFactor times
	// Workers of such places are lent.
	Slow time.Duration
	// MaxTasks is how many tasks there may be. For one more, the one that was touched
	// longest ago gives way.
	MaxTasks int
	// Evicted is told of a task that gave way.
	Evicted func(key string)
	// Run runs a task with its newest job. ctx ends with Close. attempt counts the runs
	// within one interval, from 0. A panic ends the run only, and is handed to Panicked.
	Run func(ctx context.Context, key string, job J, attempt int) Next
	// Panicked is told of a panic of Run, with its stack.
	Panicked func(key string, value any, stack []byte)
}

// Next says when a task runs again. Its zero value is: one interval after the last time.
type Next struct {
	// Again, if above zero: after this time, as another attempt of the same interval.
	Again time.Duration
	// Delay is added to the time of the next interval's run.
	Delay time.Duration
	// Suspect says that this run hung. Until a run of it does not, the task runs on one
	// of few places for its like, so that it takes none from the rest.
	Suspect bool
}

// lentFactor bounds the runs that outlast Slow.
const lentFactor = 8

// Scheduler runs tasks. It has a goroutine only while it has tasks, and one more for each
// task that is running. They end with Close, or when the Scheduler is no longer reachable.
// Make one with New; its methods may be called from any goroutine.
type Scheduler[J any] struct {
	Config[J]
	ctx    context.Context
	cancel context.CancelFunc

	tasks sync.Map // of key to *task[J]; written with mu held
	size  atomic.Int64
	wake  chan struct{} // has one place: the loop shall look again

	mu      sync.Mutex
	pools   [2]pool[J]      // guarded by mu: the tasks that are not running, and places to run
	byTouch byTouch[J]      // guarded by mu: all tasks
	active  map[string]bool // guarded by mu: the keys that are running
	lent    int             // guarded by mu: how many healthy runs have given their place away
	looping bool            // guarded by mu: there is a loop
	closed  bool            // guarded by mu
	running *sync.WaitGroup // the loop and the runs; added to with mu held
}

// Which of the pools a task is in.
const (
	healthy  = 0
	suspects = 1
)

// pool is a queue of tasks with places to run them.
type pool[J any] struct {
	queue  queue[J]
	active int
	places int
}

// task is one key that is run.
type task[J any] struct {
	key    string
	offset time.Duration // what it is due later than by the interval alone
	latest atomic.Pointer[touch[J]]
	gone   atomic.Bool // it has been removed; written with the scheduler's mu held

	// Guarded by the scheduler's mu.
	nominal time.Time // when it is due by the interval alone; idleness is judged by it
	due     time.Time // when it is to run
	attempt int       // of the next run
	pool    int       // healthy or suspects
	index   int       // in the queue; below zero: it is not there
	seen    time.Time // when it was touched, as byTouch knows it
	place   int       // in byTouch
}

// touch is the newest sign of interest in a task.
type touch[J any] struct {
	at  time.Time
	job J
}

// New returns a Scheduler without tasks.
func New[J any](cfg Config[J]) *Scheduler[J] {
	s := &Scheduler[J]{Config: cfg, wake: make(chan struct{}, 1), active: make(map[string]bool), running: &sync.WaitGroup{}}
	s.pools[healthy].places, s.pools[suspects].places = cfg.Workers, max(1, cfg.Workers/2)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Touch registers a task, or renews the interest in it and its job.
func (s *Scheduler[J]) Touch(key string, job J) {
	now := &touch[J]{time.Now(), job}
	if t, ok := s.tasks.Load(key); ok {
		t := t.(*task[J])
		t.latest.Store(now)
		if !t.gone.Load() { // see endIdleLocked
			return
		}
	}
	if evicted, ok := s.register(key, now); ok {
		s.Evicted(evicted)
	}
}

// register adds a task; ok says that another gave way to it.
func (s *Scheduler[J]) register(key string, now *touch[J]) (evicted string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", false
	}
	if t, ok := s.tasks.Load(key); ok { // somebody else was first
		t.(*task[J]).latest.Store(now)
		return "", false
	}
	t := &task[J]{key: key, offset: jitter.Add(0, s.Interval/10), nominal: now.at.Add(s.Interval)}
	t.due = t.nominal.Add(t.offset)
	t.latest.Store(now)
	t.seen = now.at
	if s.Size() >= s.MaxTasks {
		evicted, ok = s.evictLocked(), true
	}
	s.tasks.Store(key, t)
	s.size.Add(1)
	heap.Push(&s.pools[healthy].queue, t)
	heap.Push(&s.byTouch, t)
	if !s.looping {
		s.looping = true
		s.running.Add(1)
		go loop(weak.Make(s), s.wake, s.running)
	}
	s.signal()
	return evicted, ok
}

// Forget ends a task; a run that is under way goes on, as the last one.
func (s *Scheduler[J]) Forget(key string) {
	if _, ok := s.tasks.Load(key); !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tasks.Load(key); ok {
		s.removeLocked(t.(*task[J]))
		s.signal()
	}
}

// Size returns how many tasks there are.
func (s *Scheduler[J]) Size() int { return int(s.size.Load()) }

// Close ends all tasks, cancels the runs that are under way and waits for them, for bound
// at most. It reports whether all have ended. Later calls of Touch do nothing.
func (s *Scheduler[J]) Close(bound time.Duration) bool {
	s.mu.Lock()
	s.closed = true
	s.tasks.Range(func(_, t any) bool {
		s.removeLocked(t.(*task[J]))
		return true
	})
	s.mu.Unlock()
	s.cancel()
	s.signal()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
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

// signal makes the loop look again.
func (s *Scheduler[J]) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Scheduler[J]) removeLocked(t *task[J]) {
	t.gone.Store(true)
	s.tasks.Delete(t.key)
	s.size.Add(-1)
	heap.Remove(&s.byTouch, t.place)
	if t.index >= 0 {
		heap.Remove(&s.pools[t.pool].queue, t.index)
	}
}

// evictLocked removes the task that was touched longest ago. Touches do not move a task in
// byTouch: what was touched since it was put there goes to its new place now.
func (s *Scheduler[J]) evictLocked() (key string) {
	for {
		t := s.byTouch[0]
		t.gone.Store(true) // see endIdleLocked
		if at := t.latest.Load().at; at.After(t.seen) {
			t.gone.Store(false)
			t.seen = at
			heap.Fix(&s.byTouch, 0)
			continue
		}
		s.removeLocked(t)
		return t.key
	}
}

// Job returns the newest job of a task; ok is false if there is no such task.
func (s *Scheduler[J]) Job(key string) (job J, ok bool) {
	t, ok := s.tasks.Load(key)
	if !ok {
		return job, false
	}
	return t.(*task[J]).latest.Load().job, true
}

// loop starts the runs that are due, until there are no tasks. It holds the scheduler only
// while it looks: when nobody else does any more, the scheduler goes away with its tasks,
// even if their jobs refer to what refers to it, and the loop ends.
func loop[J any](self weak.Pointer[Scheduler[J]], wake <-chan struct{}, running *sync.WaitGroup) {
	defer running.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	look := func() (next time.Duration, ok bool) {
		if s := self.Value(); s != nil {
			return s.startDue()
		}
		return 0, false
	}
	for {
		next, ok := look()
		if !ok {
			return
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-wake:
		}
	}
}

// startDue starts what is due and returns how long there is nothing to do; ok is false
// when there are no tasks left and the loop has to end.
func (s *Scheduler[J]) startDue() (next time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	next = s.Interval // the end of a run signals
	for i := range s.pools {
		p := &s.pools[i]
		for len(p.queue) > 0 && s.freeLocked(i) && !p.queue[0].due.After(now) {
			t := p.queue[0]
			switch {
			case s.endIdleLocked(t):
			case s.active[t.key]: // a run of an earlier task of this key goes on
				t.due = now.Add(s.Interval / 10)
				heap.Fix(&p.queue, 0)
			default:
				heap.Pop(&p.queue)
				s.active[t.key] = true
				p.active++
				s.running.Add(1)
				go s.run(t, i)
			}
		}
		if len(p.queue) > 0 && s.freeLocked(i) {
			next = min(next, p.queue[0].due.Sub(now))
		}
	}
	if s.Size() == 0 {
		s.looping = false
		return 0, false
	}
	return next, true
}

// freeLocked reports whether a pool has a free place.
func (s *Scheduler[J]) freeLocked(pool int) bool {
	p := &s.pools[pool]
	if pool == healthy {
		return p.active-s.lent < p.places
	}
	return p.active < p.places
}

// endIdleLocked removes t if nobody has asked for it for too long. A touch in the same
// moment counts: it stores first and looks at gone second, and here it is the other way
// round, so that at least one of the two sees the other.
func (s *Scheduler[J]) endIdleLocked(t *task[J]) bool {
	idle := func() bool { return t.nominal.Sub(t.latest.Load().at) > s.Idle }
	if !idle() {
		return false
	}
	t.gone.Store(true)
	if !idle() {
		t.gone.Store(false)
		return false
	}
	s.removeLocked(t)
	return true
}

// run runs t once and puts it back into the queue.
func (s *Scheduler[J]) run(t *task[J], pool int) {
	defer s.running.Done()
	ended, lent := false, false // guarded by mu
	slow := time.AfterFunc(s.Slow, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !ended && pool == healthy && s.lent < lentFactor*s.Workers {
			lent = true
			s.lent++
			s.signal()
		}
	})
	defer slow.Stop()
	var next Next
	defer func() { // also when Run ends its goroutine
		s.mu.Lock()
		defer s.mu.Unlock()
		ended = true
		if lent {
			s.lent--
		}
		delete(s.active, t.key)
		s.pools[pool].active--
		s.signal()
		if !t.gone.Load() {
			s.requeueLocked(t, next)
		}
	}()
	defer func() {
		if v := recover(); v != nil {
			s.Panicked(t.key, v, debug.Stack())
		}
	}()
	next = s.Run(s.ctx, t.key, t.latest.Load().job, t.attempt)
}

// requeueLocked puts t back into the queue after a run.
func (s *Scheduler[J]) requeueLocked(t *task[J], next Next) {
	if next.Again > 0 {
		t.attempt++
		t.due = time.Now().Add(next.Again)
	} else {
		t.attempt = 0
		// Skip the intervals that a long run has missed.
		missed := max(0, time.Since(t.nominal)/s.Interval)
		t.nominal = t.nominal.Add((missed + 1) * s.Interval)
		t.due = t.nominal.Add(t.offset + next.Delay)
	}
	t.pool = healthy
	if next.Suspect {
		t.pool = suspects
	}
	heap.Push(&s.pools[t.pool].queue, t)
}
