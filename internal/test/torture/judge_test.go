package torture

import (
	"strings"
	"testing"
	"time"
)

const (
	testBound = 500 * time.Millisecond
	testGrace = 100 * time.Millisecond
	ms        = time.Millisecond
)

// scene is a judge with a history of one key that a test makes, with the nodes 0 and 1.
type scene struct{ *judge }

func newScene() scene { return scene{newJudge(testBound, testGrace)} }

// wrote records an acknowledged Delete by node 0, which took 10ms.
func (s scene) wrote(version int64, ended instant) {
	s.judge.wrote(write{how: deletes, version: version, began: ended - 10*ms, ended: ended})
}

// reads judges a read by node 1, which took 5ms.
func (s scene) reads(version int64, began instant, change ...func(*read)) verdict {
	r := read{node: 1, how: gets, version: version, began: began, ended: began + 5*ms, newest: 100}
	for _, c := range change {
		c(&r)
	}
	return s.read(r)
}

func onNode(n int) func(*read) { return func(r *read) { r.node = n } }
func pastLocal(r *read)        { r.skipsLocal = true }
func loading(r *read)          { r.pastLocal = true }
func inDoubt(r *read)          { r.doubted = true }
func notAnswered(r *read)      { r.unanswered = true }
func failing(r *read)          { r.err = "boom" }
func lasting(d time.Duration) func(*read) {
	return func(r *read) { r.ended = r.began + d }
}

func TestTheJudge(t *testing.T) {
	for name, history := range map[string]struct {
		read func(s scene) verdict
		want verdict
	}{
		"the newest version": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(2, 10*time.Second)
		}, right},
		"a version that is not acknowledged yet": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(3, 10*time.Second)
		}, right},
		"the old, before the write ended": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Second-1, lasting(10*time.Second))
		}, right},
		"the old on another node, within the bound": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Second+testBound-1)
		}, right},
		"the old on another node, after the bound": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Second+testBound)
		}, wrong},
		"older than what the bound allows": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.wrote(3, 2*time.Second)
			return s.reads(1, 2*time.Second+1)
		}, wrong},
		"the old on the node that wrote, at once": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Second, onNode(0))
		}, wrong},
		"the old past the local level, at once": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Second, pastLocal)
		}, wrong},
		"the old after writes that overtook each other": {func(s scene) verdict {
			s.wrote(3, time.Second)
			s.wrote(2, 2*time.Second)
			return s.reads(2, 3*time.Second)
		}, wrong},
		"a version that the database never had": {func(s scene) verdict { return s.reads(101, time.Second) }, wrong},
		"an error":                              {func(s scene) verdict { s.wrote(2, 0); return s.reads(1, time.Hour, failing) }, unjudged},
		"nothing":                               {func(s scene) verdict { s.wrote(2, 0); return s.reads(0, time.Hour) }, unjudged},
		"the old after a write that failed": {func(s scene) verdict {
			s.judge.wrote(write{how: deletes, version: 2, ended: time.Second, err: "boom"})
			return s.reads(1, time.Hour)
		}, right},
		"the old on a node that was stopped": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.happened(1, time.Second, "stop", func(t *timeline) { t.stopped.begin(time.Second) })
			s.happened(1, 9*time.Second, "resume", func(t *timeline) { t.stopped.end(9 * time.Second) })
			return s.reads(1, 9*time.Second+testBound-1)
		}, right},
		"the old on a node that ran, was stopped, and ran again": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.happened(1, 2*time.Second, "stop", func(t *timeline) { t.stopped.begin(2 * time.Second) })
			s.happened(1, 9*time.Second, "resume", func(t *timeline) { t.stopped.end(9 * time.Second) })
			return s.reads(1, 9*time.Second)
		}, wrong},
		"the old on a node that has just started": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.happened(1, time.Second, "start", func(t *timeline) { t.started = time.Second })
			return s.reads(1, time.Second+1)
		}, wrong},
		"the old in doubt, though the remote answered": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Hour, inDoubt)
		}, wrong},
		"the old, not in doubt, while the remote did not answer": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Hour, notAnswered)
		}, wrong},
		"the old in doubt while the remote did not answer": {func(s scene) verdict {
			s.wrote(2, time.Second)
			return s.reads(1, time.Hour, inDoubt, notAnswered)
		}, exempt},
		"the old in doubt while the link to the remote is faulty": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.happened(1, time.Minute, "cut", func(t *timeline) { t.cut.begin(time.Minute) })
			return s.reads(1, time.Hour, inDoubt)
		}, exempt},
		"the old from the remote while the link to the remote is faulty": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.happened(1, time.Minute, "lossy", func(t *timeline) { t.cut.begin(time.Minute) })
			return s.reads(1, time.Hour, inDoubt, pastLocal)
		}, wrong},
		"the old of a load of the remote while the link to the remote is faulty": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.happened(1, time.Minute, "lossy", func(t *timeline) { t.cut.begin(time.Minute) })
			return s.reads(1, time.Hour, inDoubt, loading)
		}, wrong},
		"the old in doubt after that": {func(s scene) verdict {
			s.wrote(2, time.Second)
			s.happened(1, time.Minute, "cut", func(t *timeline) { t.cut.begin(time.Minute) })
			s.happened(1, time.Minute, "heal", func(t *timeline) { t.cut.end(2 * time.Minute) })
			return s.reads(1, time.Hour, inDoubt)
		}, wrong},
		"a value that was under way": {func(s scene) verdict {
			s.underWay(2, time.Second)
			s.wrote(3, 2*time.Second)
			return s.reads(2, time.Hour)
		}, late},
		"another value than the one that was under way": {func(s scene) verdict {
			s.underWay(2, time.Second)
			s.wrote(3, 2*time.Second)
			return s.reads(1, time.Hour)
		}, wrong},
		"a value that was under way, and was removed since": {func(s scene) verdict {
			s.underWay(2, time.Second)
			s.wrote(3, 10*time.Second)
			return s.reads(2, time.Hour)
		}, wrong},
		"a value that was removed a moment ago": {func(s scene) verdict {
			s.underWay(2, time.Second)
			s.wrote(3, 2*time.Second)
			s.wrote(4, 10*time.Second)
			return s.reads(2, 10*time.Second+testBound-1)
		}, late},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			if got := history.read(s); got != history.want {
				t.Errorf("verdict %d, want %d\n%s", got, history.want, s.report())
			}
			if report := s.report(); strings.Contains(report, "WRONG: ") != (history.want == wrong) {
				t.Errorf("the report is\n%s", report)
			}
		})
	}
}

// underWay records a Set by node 1 that failed. The node's link to the remote was a hole from one
// second before the end of the Set until two seconds after it.
func (s scene) underWay(version int64, ended instant) {
	s.happened(1, ended-time.Second, "hole", func(t *timeline) { t.cut.begin(ended - time.Second) })
	s.judge.wrote(write{node: 1, how: sets, version: version, began: ended - 10*ms, ended: ended, err: "boom", again: true})
	s.happened(1, ended+2*time.Second, "heal", func(t *timeline) { t.cut.end(ended + 2*time.Second) })
}

func TestTheJudgeKnowsWhatNobodyWillFinish(t *testing.T) {
	newest := func(int) int64 { return 2 }
	for name, history := range map[string]struct {
		play func(s scene)
		open bool
	}{
		"a write that was acknowledged": {func(s scene) { s.wrote(2, time.Second) }, false},
		"a write that is not recorded":  {func(scene) {}, true},
		"a write that failed": {func(s scene) {
			s.judge.wrote(write{how: deletes, version: 2, ended: time.Second, err: "boom"})
		}, false},
		"a write of a node that died": {func(s scene) {
			s.judge.wrote(write{how: deletes, version: 2, ended: time.Second, err: "boom"})
			s.happened(0, 2*time.Second, "start", func(t *timeline) { t.started = 2 * time.Second })
		}, true},
		"a mutation of a node that died": {func(s scene) {
			s.judge.wrote(write{how: mutates, version: 2, ended: time.Second, err: "boom"})
			s.happened(0, 2*time.Second, "start", func(t *timeline) { t.started = 2 * time.Second })
		}, false},
		"a value that is under way": {func(s scene) {
			s.underWay(1, time.Second)
			s.wrote(2, 2*time.Second)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			history.play(s)
			if open := len(s.unfinished(1, newest)) > 0; open != history.open {
				t.Errorf("open: %v", open)
			}
		})
	}
	if open := newScene().unfinished(1, func(int) int64 { return 1 }); len(open) > 0 {
		t.Error("a key that was never written is open")
	}
}

func TestTheJudgeForgetsNoWriteThatCounts(t *testing.T) {
	s := newScene()
	for v := range int64(3 * maxAcked) {
		s.wrote(v+2, time.Duration(v)*ms)
	}
	end := 3 * maxAcked * ms
	if v := s.reads(3*maxAcked-int64(testBound/ms)-20, end, func(r *read) { r.newest = 1 << 40 }); v != wrong {
		t.Errorf("verdict %d of a read that is too old", v)
	}
	if v := s.reads(1, end); v != wrong {
		t.Errorf("verdict %d of a read that is older than what is kept", v)
	}
	if v := s.reads(3*maxAcked-10, end, func(r *read) { r.newest = 1 << 40 }); v != right {
		t.Errorf("verdict %d of a read within the bound", v)
	}
}
