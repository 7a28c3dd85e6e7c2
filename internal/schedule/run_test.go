package schedule

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestATaskRunsOnceInEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		s := open(t, r, time.Hour, 1)
		s.Touch("k", 1)
		time.Sleep(10*interval + interval/2)
		times := r.times("k.1")
		if len(times) != 10 {
			t.Fatalf("ran at %v", times)
		}
		for i, at := range times {
			if nominal := time.Duration(i+1) * interval; at < nominal-interval/20 || at >= nominal+interval/20 || at-times[0] != time.Duration(i)*interval {
				t.Errorf("run %d at %s", i, at)
			}
		}
	})
}

// Tasks that are registered together are spread over a tenth of the interval, half of them before
// it has passed: other nodes may run the same tasks exactly at the interval, and must not come
// first for all.
func TestRunsAreSpreadOnBothSidesOfTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks, parts = 1000, 10
		r := newRec()
		s := open(t, r, time.Hour, tasks)
		for i := range tasks {
			s.Touch(fmt.Sprint(i), 1)
		}
		time.Sleep(interval + interval/10)
		first := interval - interval/20
		var runs [parts]int
		for i := range tasks {
			times := r.times(fmt.Sprint(i, ".1"))
			if len(times) != 1 || times[0] < first || times[0] >= first+interval/10 {
				t.Fatalf("task %d ran at %v", i, times)
			}
			runs[(times[0]-first)*parts/(interval/10)]++
		}
		for part, n := range runs {
			if n < tasks/parts/5 { // 100 are expected; 80 less is more than eight standard deviations
				t.Errorf("in part %d of the time in which %d tasks run, %d ran", part, tasks, n)
			}
		}
	})
}

// A task that is touched often enough never ends, although it is sometimes due early: it runs in
// each interval, at the same place.
func TestAnEarlyRunDoesNotTakeATaskForIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		s := open(t, r, interval+time.Second, 10)
		const tasks, pause = 50, interval + 900*time.Millisecond // less than idle
		for range 40 {
			for i := range tasks {
				s.Touch(fmt.Sprint(i), 1)
			}
			time.Sleep(pause)
		}
		for i := range tasks {
			times := r.times(fmt.Sprint(i, ".1"))
			for n, at := range times {
				if at-times[0] != time.Duration(n)*interval {
					t.Fatalf("task %d ended, although it was touched every %s: it ran at %v", i, pause, times)
				}
			}
			if len(times) < 40 {
				t.Errorf("task %d ran %d times in %s", i, len(times), time.Since(r.start))
			}
		}
	})
}

// A task runs at least once after each touch, although it is sometimes due late.
func TestALateRunDoesNotTakeATaskForIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		s := open(t, r, interval, 10)
		for i := range 50 {
			s.Touch(fmt.Sprint(i), 1)
		}
		time.Sleep(5 * interval)
		for i := range 50 {
			if n := len(r.times(fmt.Sprint(i, ".1"))); n != 1 {
				t.Errorf("task %d ran %d times", i, n)
			}
		}
	})
}

// A run that takes nearly an interval does not make the next one come early.
func TestARunOfNearlyAnIntervalLeavesTheNextOneInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		r.took = func(string) time.Duration { return interval - time.Nanosecond }
		s := open(t, r, time.Hour, 20)
		for i := range 20 {
			s.Touch(fmt.Sprint(i), 1)
		}
		time.Sleep(10*interval + interval/2)
		for i := range 20 {
			times := r.times(fmt.Sprint(i, ".1"))
			for n, at := range times {
				if at-times[0] != time.Duration(n)*interval {
					t.Fatalf("task %d ran at %v", i, times)
				}
			}
			if len(times) != 10 {
				t.Errorf("task %d ran at %v", i, times)
			}
		}
	})
}

func TestWorkersBoundTheRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		r.took = func(string) time.Duration { return time.Second }
		s := open(t, r, time.Hour, 3)
		for i := range 12 {
			s.Touch(fmt.Sprint(i), 1)
		}
		time.Sleep(2 * interval)
		synctest.Wait()
		if r.most != 3 || len(r.runs) != 12 {
			t.Errorf("%d at a time, %d ran", r.most, len(r.runs))
		}
	})
}

func TestALongRunDoesNotHoldUpOthersNorRunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		r.took = func(key string) time.Duration {
			if key == "long" {
				return 3*interval + interval/2
			}
			return 0
		}
		s := open(t, r, time.Hour, 2)
		s.Touch("long", 1)
		s.Touch("short", 1)
		time.Sleep(8*interval + interval/2)
		if long, short := r.times("long.1"), r.times("short.1"); len(short) != 8 || len(long) != 2 {
			t.Errorf("short ran at %v, long at %v", short, long)
		}
	})
}

func TestASecondRunInTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		r.next.Again = 2 * time.Second
		s := open(t, r, time.Hour, 1)
		s.Touch("k", 1)
		time.Sleep(2*interval + interval/2)
		first, second := r.times("k.1"), r.times("k.1 again")
		if len(first) != 2 || len(second) != 2 || second[0]-first[0] != 2*time.Second || first[1]-first[0] != interval {
			t.Errorf("ran at %v and again at %v", first, second)
		}
	})
}

func TestADelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		r.next.Delay = interval / 2
		s := open(t, r, time.Hour, 1)
		s.Touch("k", 1)
		time.Sleep(4 * interval)
		if times := r.times("k.1"); len(times) != 3 || times[1]-times[0] != interval+interval/2 || times[2]-times[1] != interval {
			t.Errorf("ran at %v", times)
		}
	})
}

func TestARunThatPanicsOrExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		runs, panics := 0, 0
		s := New(Config[int]{Interval: interval, Idle: time.Hour, Workers: 1, Slow: time.Hour, MaxTasks: 10,
			Run: func(context.Context, string, int, int) Next {
				mu.Lock()
				runs++
				n := runs
				mu.Unlock()
				switch n {
				case 1:
					panic("boom")
				case 2:
					runtime.Goexit()
				}
				return Next{}
			},
			Panicked: func(key string, v any, stack []byte) {
				if panics++; key != "k" || v != "boom" || len(stack) == 0 {
					t.Errorf("told of %q, %v", key, v)
				}
			},
		})
		defer s.Close(time.Minute)
		s.Touch("k", 1)
		time.Sleep(4*interval + interval/2)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if runs != 4 || panics != 1 {
			t.Errorf("%d runs, %d panics", runs, panics)
		}
	})
}

func TestRunsThatHangDoNotHoldUpTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRec()
		r.took = func(key string) time.Duration {
			if key[0] == 'h' {
				return 3 * interval
			}
			return 0
		}
		s := New(Config[int]{Interval: interval, Idle: time.Hour, Workers: 2, Slow: time.Second, MaxTasks: 1000, Run: r.run(t)})
		defer s.Close(time.Minute)
		for i := range 5 {
			s.Touch(fmt.Sprint("hangs ", i), 1)
		}
		s.Touch("runs", 1)
		time.Sleep(6 * interval)
		if n := len(r.times("runs.1")); n < 5 {
			t.Errorf("a healthy task ran %d times in 6 intervals", n)
		}
	})
}

func TestSuspectsTakeNoPlacesFromTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		runs := map[bool]int{}
		s := New(Config[int]{Interval: interval, Idle: time.Hour, Workers: 2, Slow: interval / 2, MaxTasks: 1000,
			Run: func(ctx context.Context, key string, _, _ int) Next {
				hangs := key != "healthy"
				mu.Lock()
				runs[hangs]++
				mu.Unlock()
				if hangs {
					select {
					case <-time.After(3 * interval):
					case <-ctx.Done():
					}
				}
				return Next{Suspect: hangs}
			}})
		defer s.Close(time.Minute)
		for i := range 200 {
			s.Touch(fmt.Sprint(i), 1)
		}
		time.Sleep(time.Second)
		s.Touch("healthy", 1)
		count := func() int { mu.Lock(); defer mu.Unlock(); return runs[false] }
		time.Sleep(50 * interval) // until each has hung once
		before := count()
		time.Sleep(20 * interval)
		if n := count() - before; n < 19 {
			t.Errorf("among 200 tasks that hang, a healthy one ran %d times in 20 intervals", n)
		}
		mu.Lock()
		defer mu.Unlock()
		if runs[true] < 200 {
			t.Errorf("those that hang ran %d times", runs[true])
		}
	})
}
