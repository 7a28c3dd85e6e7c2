package schedule

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rec records the runs of tasks, and says how long they take.
type rec struct {
	mu    sync.Mutex
	runs  map[string][]time.Duration // guarded by mu: since start
	busy  map[string]bool            // guarded by mu
	most  int                        // guarded by mu: how many have run at the same time
	start time.Time
	took  func(key string) time.Duration
	next  Next
}

func newRec() *rec {
	return &rec{runs: map[string][]time.Duration{}, busy: map[string]bool{}, start: time.Now(), took: func(string) time.Duration { return 0 }}
}

func (r *rec) run(t *testing.T) func(ctx context.Context, key string, job, attempt int) Next {
	return func(ctx context.Context, key string, job, attempt int) Next {
		name := fmt.Sprintf("%s.%d", key, job)
		if attempt > 0 {
			name += " again"
		}
		r.mu.Lock()
		r.runs[name] = append(r.runs[name], time.Since(r.start))
		if r.busy[key] {
			t.Errorf("%s runs twice at a time", key)
		}
		r.busy[key] = true
		r.most = max(r.most, len(r.busy))
		r.mu.Unlock()
		select {
		case <-time.After(r.took(key)):
		case <-ctx.Done():
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.busy, key)
		if attempt > 0 {
			return Next{}
		}
		return r.next
	}
}

func (r *rec) times(name string) []time.Duration {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[name]
}

const interval = 10 * time.Second

func open(t *testing.T, r *rec, idle time.Duration, workers int) *Scheduler[int] {
	s := New(Config[int]{Interval: interval, Idle: idle, Workers: workers, Slow: time.Hour, MaxTasks: 1000, Run: r.run(t)})
	t.Cleanup(func() { s.Close(time.Minute) })
	return s
}

func TestTheNewestJobRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		s := open(t, r, time.Hour, 1)
		s.Touch("k", 1)
		s.Touch("k", 2)
		time.Sleep(interval + interval/10)
		if len(r.times("k.1")) != 0 || len(r.times("k.2")) != 1 || s.Size() != 1 {
			t.Errorf("runs %v, size %d", r.runs, s.Size())
		}
	})
}

func TestAnIdleTaskEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		s := open(t, r, interval+time.Second, 1)
		s.Touch("k", 1)
		time.Sleep(5 * interval)
		if n := len(r.times("k.1")); n != 1 || s.Size() != 0 {
			t.Errorf("%d runs, size %d", n, s.Size())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.wakeAt.IsZero() {
			t.Errorf("the timer goes on without tasks, until %s", s.wakeAt)
		}
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		r.took = func(string) time.Duration { return interval / 2 }
		s := open(t, r, time.Hour, 1)
		s.Forget("never there")
		s.Touch("waiting", 1)
		s.Forget("waiting")
		s.Touch("running", 1)
		time.Sleep(interval + interval/10)
		s.Forget("running")
		s.Touch("running", 2) // a new task, while the old one's run goes on
		time.Sleep(3 * interval)
		if len(r.times("waiting.1")) != 0 || len(r.times("running.1")) != 1 || len(r.times("running.2")) == 0 || s.Size() != 1 {
			t.Errorf("runs %v, size %d", r.runs, s.Size())
		}
	})
}

func TestCloseAtEveryMoment(t *testing.T) {
	for moment := time.Duration(0); moment < 3*interval; moment += interval / 7 {
		synctest.Test(t, func(t *testing.T) {
			r := newRec()
			r.took = func(string) time.Duration { return interval / 3 }
			s := open(t, r, time.Hour, 2)
			for i := range 5 {
				s.Touch(fmt.Sprint(i), 1)
			}
			time.Sleep(moment)
			start := time.Now()
			if !s.Close(time.Minute) || time.Since(start) != 0 || s.Size() != 0 {
				t.Errorf("after %s: Close took %s, size %d", moment, time.Since(start), s.Size())
			}
			s.Touch("later", 1)
			if s.Size() != 0 || !s.Close(time.Minute) {
				t.Error("a closed scheduler takes tasks")
			}
		})
	}
}

func TestCloseWaitsWithABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := New(Config[int]{Interval: interval, Idle: time.Hour, Workers: 1, Slow: time.Hour, MaxTasks: 10, Run: func(context.Context, string, int, int) Next {
			<-release
			return Next{}
		}})
		s.Touch("k", 1)
		time.Sleep(interval + interval/10)
		start := time.Now()
		if s.Close(3*time.Second) || time.Since(start) != 3*time.Second {
			t.Errorf("Close took %s", time.Since(start))
		}
		close(release)
	})
}

func TestTheTaskTouchedLongestAgoGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		var evicted []string
		s := New(Config[int]{Interval: interval, Idle: time.Hour, Workers: 2, Slow: time.Hour, MaxTasks: 3, Run: r.run(t),
			Evicted: func(key string) { evicted = append(evicted, key) }})
		defer s.Close(time.Minute)
		touch := func(keys ...string) {
			for _, k := range keys {
				time.Sleep(time.Millisecond)
				s.Touch(k, 1)
			}
		}
		touch("a", "b", "c", "a", "d", "b", "a", "e")
		if got := fmt.Sprint(evicted); got != "[b c d]" || s.Size() != 3 {
			t.Errorf("evicted %s, size %d", got, s.Size())
		}
		if _, ok := s.Job("d"); ok {
			t.Error("an evicted task is there")
		}
		if job, ok := s.Job("e"); !ok || job != 1 {
			t.Errorf("the job of e is %d, %v", job, ok)
		}
		time.Sleep(2 * interval)
		if n := len(r.times("d.1")); n != 0 {
			t.Errorf("an evicted task ran %d times", n)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	s := New(Config[int]{Interval: time.Millisecond, Idle: time.Hour, Workers: 4, Slow: time.Hour, MaxTasks: 1_000_000, Run: func(context.Context, string, int, int) Next { return Next{} }})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				key := fmt.Sprint((g + i) % 7)
				s.Touch(key, i)
				if i%5 == 0 {
					s.Forget(key)
				}
				s.Size()
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	if !s.Close(time.Minute) || s.Size() != 0 {
		t.Errorf("size %d after Close", s.Size())
	}
}

// With 100,000 tasks: what a task costs, and what it costs to look for those that are due.
func BenchmarkTasks(b *testing.B) {
	const n = 100_000
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("key:", i)
	}
	newScheduler := func() *Scheduler[int] {
		return New(Config[int]{Interval: time.Hour, Idle: time.Hour, Workers: 4, Slow: time.Hour, MaxTasks: 1_000_000, Run: func(context.Context, string, int, int) Next { return Next{} }})
	}
	b.Run("register", func(b *testing.B) {
		var before, after runtime.MemStats
		for b.Loop() {
			runtime.GC()
			runtime.ReadMemStats(&before)
			s := newScheduler()
			for _, k := range keys {
				s.Touch(k, 1)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/task")
			s.Close(time.Minute)
		}
	})
	s := newScheduler()
	for _, k := range keys {
		s.Touch(k, 1)
	}
	defer s.Close(time.Minute)
	b.Run("touch", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.Touch(keys[i%n], 1)
		}
	})
	b.Run("dispatch", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.mu.Lock()
			s.dispatchLocked()
			s.mu.Unlock()
		}
	})
}

// A Scheduler that nobody uses any more leaves no goroutine, long before its tasks are due.
func TestDroppedSchedulersLeaveNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	var collected atomic.Int64
	for range 200 {
		s := New(Config[any]{Interval: time.Hour, Idle: time.Hour, Workers: 1, Slow: time.Hour, MaxTasks: 10,
			Run: func(context.Context, string, any, int) Next { return Next{} }})
		s.Touch("k", s) // a job may refer to its scheduler
		runtime.AddCleanup(s, func(int) { collected.Add(1) }, 0)
	}
	for began := time.Now(); collected.Load() < 200 || runtime.NumGoroutine() > before; runtime.GC() {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("of 200 dropped schedulers %d were collected, and %d goroutines are left", collected.Load(), runtime.NumGoroutine()-before)
		}
	}
}
