package torture

import (
	"strings"
	"testing"
	"time"
)

// repeated records an acknowledged Set by node 1, during a fault of its link that ends two seconds
// later.
func (s scene) repeated(version int64, ended instant) {
	s.happened(1, ended-time.Second, "tardy", func(t *timeline) { t.cut.begin(ended - time.Second) })
	s.judge.wrote(write{node: 1, how: sets, version: version, began: ended - 10*ms, ended: ended, again: true})
	s.happened(1, ended+2*time.Second, "heal", func(t *timeline) { t.cut.end(ended + 2*time.Second) })
}

// promotes makes a replica the master which has this version.
func (s scene) promotes(version int64, when instant) { s.promoted(0, version, when) }

func TestTheJudgeKnowsWhatRedisLoses(t *testing.T) {
	for name, history := range map[string]struct {
		read func(s scene) verdict
		want verdict
	}{
		"a Set that was acknowledged comes again, and its fence was evicted": {func(s scene) verdict {
			s.repeated(2, time.Second)
			s.evicted(0, 2*time.Second)
			s.wrote(3, 2100*ms)
			return s.reads(2, time.Hour)
		}, late},
		"a Set that was acknowledged comes again, and its fence was not evicted": {func(s scene) verdict {
			s.evicted(0, 500*ms)
			s.repeated(2, time.Second)
			s.wrote(3, 2100*ms)
			return s.reads(2, time.Hour)
		}, wrong},
		"a Set that was acknowledged comes again, after an eviction, although the link was whole": {func(s scene) verdict {
			s.judge.wrote(write{node: 1, how: sets, version: 2, began: time.Second - 10*ms, ended: time.Second, again: true})
			s.evicted(0, 2*time.Second)
			s.wrote(3, 2100*ms)
			return s.reads(2, time.Hour)
		}, wrong},
		"a Set that was acknowledged comes again, after an eviction, and after all had arrived": {func(s scene) verdict {
			s.repeated(2, time.Second)
			s.evicted(0, 2*time.Second)
			s.wrote(3, 10*time.Second)
			return s.reads(2, time.Hour)
		}, wrong},
		"what was loaded before a change is stored, after an eviction": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.evicted(0, 2*time.Second)
			return s.reads(1, time.Hour)
		}, wrong},
		"what the new master had": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			return s.reads(2, time.Hour, pastLocal)
		}, undone},
		"what the new master had not": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			return s.reads(1, time.Hour, pastLocal)
		}, wrong},
		"the old, and the new master had nothing": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Hour, pastLocal)
		}, wrong},
		"what the new master had, after a change": {func(s scene) verdict {
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			s.wrote(4, 4*time.Second)
			return s.reads(2, 4*time.Second, pastLocal)
		}, wrong},
		"what the new master had, within the bound after a change": {func(s scene) verdict {
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			s.wrote(4, 4*time.Second)
			return s.reads(2, 4*time.Second+testBound-1)
		}, undone},
		"what the new master had, after a change that was older than the promotion": {func(s scene) verdict {
			s.promotes(2, 3*time.Second)
			s.wrote(3, 3*time.Second+5*ms) // it began before
			return s.reads(2, time.Hour, pastLocal)
		}, undone},
		"back and forth": {func(s scene) verdict {
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			if v := s.reads(3, 4*time.Second, pastLocal); v != right {
				return v
			}
			return s.reads(2, 4*time.Second+10*ms, pastLocal)
		}, wrong},
		"back and forth, from a local level within the bound": {func(s scene) verdict {
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			s.reads(3, 4*time.Second, pastLocal)
			return s.reads(2, 4*time.Second+testBound-1)
		}, undone},
		"back and forth, from a local level after the bound, and a change": {func(s scene) verdict {
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			s.reads(3, 4*time.Second, pastLocal)
			s.wrote(4, 5*time.Second)
			return s.reads(2, 5*time.Second+10*ms)
		}, wrong},
		"the newer one is from a local level, so it says nothing of the remote": {func(s scene) verdict {
			s.wrote(3, 2*time.Second)
			s.promotes(2, 3*time.Second)
			s.reads(3, 4*time.Second)
			return s.reads(2, time.Hour, pastLocal)
		}, undone},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			if got := history.read(s); got != history.want {
				t.Errorf("verdict %d, want %d\n%s", got, history.want, s.report())
			}
		})
	}
}

// A Mutate whose closed fence is evicted must say so.
func TestTheJudgeNoticesAMutateThatSaysNothing(t *testing.T) {
	mutate := write{how: mutates, version: 2, began: time.Second, ended: 2 * time.Second, opened: true}
	for name, history := range map[string]struct {
		play   func(s scene)
		change func(w *write)
		want   int
	}{
		"it says nothing": {want: 1},
		"it says so":      {change: func(w *write) { w.lost = true }},
		"it failed":       {change: func(w *write) { w.err = "boom" }},
		"nothing is lost": {change: func(w *write) { w.opened = false }},
		"the network may have closed the fence again": {play: func(s scene) {
			s.happened(0, 0, "tardy", func(t *timeline) { t.cut.begin(0) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := newScene(), mutate
			if history.play != nil {
				history.play(s)
			}
			if history.change != nil {
				history.change(&w)
			}
			s.judge.wrote(w)
			if got := s.wrongs(); got != history.want {
				t.Errorf("%d are wrong, want %d", got, history.want)
			}
			if report := s.report(); strings.Contains(report, "WRONG: ") != (history.want > 0) {
				t.Errorf("the report is\n%s", report)
			}
		})
	}
	s, w := newScene(), mutate
	w.lost = true
	s.judge.wrote(w)
	if v := s.reads(1, 2*time.Second, pastLocal); v != wrong {
		t.Errorf("verdict %d of what a Mutate has replaced that had lost its fence", v)
	}
}

func TestTheJudgeKnowsWhatNobodyWillFinishAfterALoss(t *testing.T) {
	dies := func(s scene, change func(w *write)) {
		w := write{how: mutates, version: 2, began: time.Second, ended: 2 * time.Second, err: "boom"}
		change(&w)
		s.judge.wrote(w)
		s.happened(0, 3*time.Second, "start", func(t *timeline) { t.started = 3 * time.Second })
	}
	asItIs := func(*write) {}
	for name, history := range map[string]struct {
		play func(s scene)
		open bool
	}{
		"a mutation of a node that died, whose fence was evicted":           {func(s scene) { dies(s, asItIs); s.evicted(0, 2500*ms) }, true},
		"a mutation of a node that died, whose fence was evicted within it": {func(s scene) { dies(s, func(w *write) { w.opened = true }) }, true},
		"a mutation of a node that died, whose fence was evicted before it": {func(s scene) { s.evicted(0, 500*ms); dies(s, asItIs) }, false},
		"a mutation of a node that died, and another fence was evicted":     {func(s scene) { dies(s, asItIs); s.evicted(1, 2500*ms) }, false},
		"a mutation of a node that died while Redis lost all":               {func(s scene) { dies(s, asItIs); s.forgot(2*time.Second, 3*time.Second) }, true},
		"a mutation of a node that died before Redis lost all":              {func(s scene) { dies(s, asItIs); s.forgot(time.Hour, 2*time.Hour) }, false},
		"what a promoted replica had":                                       {func(s scene) { s.wrote(2, time.Second); s.promotes(1, 2*time.Second) }, true},
		"what a promoted replica had, and was seen to be gone": {func(s scene) {
			s.wrote(2, time.Second)
			s.promotes(1, 2*time.Second)
			s.reads(2, 3*time.Second, pastLocal)
		}, true},
		"what a promoted replica had, and was replaced": {func(s scene) {
			s.promotes(1, 2*time.Second)
			s.wrote(2, 3*time.Second)
		}, false},
		"a Set that was acknowledged, and may come again": {func(s scene) {
			s.repeated(1, time.Second)
			s.evicted(0, 2*time.Second)
			s.wrote(2, 2*time.Second)
		}, true},
		"a Set that was acknowledged, and is refused": {func(s scene) {
			s.repeated(1, time.Second)
			s.wrote(2, 2*time.Second)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			history.play(s)
			if open := len(s.unfinished(1, func(int) int64 { return 2 })) > 0; open != history.open {
				t.Errorf("open: %v", open)
			}
		})
	}
}
