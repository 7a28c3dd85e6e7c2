package stats

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// spreadStats returns a Stats that counts in cells.
func spreadStats(t *testing.T) *Stats {
	s := NewStatsLogger(t.Name(), WithSpreadCounters()).(*Stats)
	t.Cleanup(s.Close)
	return s
}

// Nothing is lost and nothing counted twice, also while the fields are brought up to date.
func TestSpreadCountersAreExact(t *testing.T) {
	const goroutines, rounds = 8, 500
	for name, s := range map[string]*Stats{"spread": spreadStats(t), "in the fields": NewStatsLogger("fields").(*Stats)} {
		var counting, updating sync.WaitGroup
		stop := make(chan struct{})
		for range 2 {
			updating.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						s.Update()
					}
				}
			})
		}
		for range goroutines {
			counting.Go(func() {
				for range rounds {
					callAll(s)
					s.HitLocally()
				}
			})
		}
		counting.Wait()
		close(stop)
		updating.Wait()
		s.Update()
		s.Update() // changes nothing
		const n = goroutines * rounds
		got := counts{s.Hit, s.Miss, s.LocalHit, s.LocalMiss, s.RemoteHit, s.RemoteMiss, s.Query, s.QueryFail, troubles{remoteErrors: s.RemoteErrors}}
		if want := (counts{2 * n, n, 2 * n, n, n, n, n, n, troubles{remoteErrors: n}}); got != want {
			t.Errorf("%s: counts are %+v, want %+v", name, got, want)
		}
		s.Close()
	}
}

// Each counter is its own: one call changes one field, or those two that HitLocally names.
func TestSpreadCountersAreNotMixedUp(t *testing.T) {
	type increment = func(*Stats)
	for name, tt := range map[string]struct {
		call increment
		want counts
	}{
		"IncrHit":        {(*Stats).IncrHit, counts{hit: 1}},
		"IncrMiss":       {(*Stats).IncrMiss, counts{miss: 1}},
		"IncrLocalHit":   {(*Stats).IncrLocalHit, counts{localHit: 1}},
		"IncrLocalMiss":  {(*Stats).IncrLocalMiss, counts{localMiss: 1}},
		"IncrRemoteHit":  {(*Stats).IncrRemoteHit, counts{remoteHit: 1}},
		"IncrRemoteMiss": {(*Stats).IncrRemoteMiss, counts{remoteMiss: 1}},
		"IncrQuery":      {(*Stats).IncrQuery, counts{query: 1}},
		"IncrQueryFail":  {func(s *Stats) { s.IncrQueryFail(nil) }, counts{queryFail: 1}},
		"HitLocally":     {(*Stats).HitLocally, counts{hit: 1, localHit: 1}},
	} {
		for _, s := range []*Stats{spreadStats(t), NewStatsLogger("fields").(*Stats)} {
			tt.call(s)
			if got := s.load(); got != tt.want {
				t.Errorf("%s counted %+v (spread: %v)", name, got, s.cells != nil)
			}
			s.Close()
		}
	}
}

// The fields follow at each interval and at Close.
func TestWhenTheFieldsAreUpToDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := spreadStats(t)
		expect := func(when string, want uint64) {
			t.Helper()
			if got := atomic.LoadUint64(&s.Miss); got != want {
				t.Errorf("%s: %d misses, want %d", when, got, want)
			}
		}
		s.IncrMiss()
		expect("at once", 0)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		expect("after an interval", 1)
		s.IncrMiss()
		s.Close()
		expect("after Close", 2)
		s.IncrMiss()
		s.Update()
		expect("after Close and Update", 3)
	})
}
