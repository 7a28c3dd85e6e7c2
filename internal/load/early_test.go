package load

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

func TestTheMeanOfLoads(t *testing.T) {
	var none *Early
	if none.noteLoad(time.Second); none.Mean() != 0 || none.zone(1) != 0 {
		t.Error("a nil Early knows a mean")
	}
	e := &Early{}
	for i, step := range []struct{ took, want time.Duration }{
		{0, 1}, {800, 100}, {100, 100}, {900, 200}, {200, 200},
	} {
		if e.noteLoad(step.took); e.Mean() != step.want {
			t.Errorf("%d: the mean is %d, want %d", i, e.Mean(), step.want)
		}
	}
	for range 100 {
		e.noteLoad(time.Second)
	}
	if m := e.Mean(); m < 999*time.Millisecond || m > time.Second {
		t.Errorf("after 100 loads of 1s, the mean is %s", m)
	}
	for range 400 {
		e.noteLoad(0)
	}
	if e.Mean() != 1 && e.Mean() > 8 {
		t.Errorf("it does not come back to nothing: %s", e.Mean())
	}
}

func TestTheMeanIsCountedByManyGoroutines(t *testing.T) {
	e := &Early{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				e.noteLoad(time.Second)
			}
		})
	}
	wg.Wait()
	if e.Mean() != time.Second {
		t.Errorf("it is %s", e.Mean())
	}
}

func TestTheZoneOfTheDraws(t *testing.T) {
	e := &Early{}
	e.noteLoad(100 * time.Millisecond)
	for beta, want := range map[float64]time.Duration{
		1: 2 * time.Second, 0.5: time.Second, 0: 0, -1: 0, math.NaN(): 0,
		math.Inf(1): math.MaxInt64/2 + 1, math.MaxFloat64: math.MaxInt64/2 + 1,
	} {
		if got := e.zone(beta); got != want {
			t.Errorf("%v: %d, want %d", beta, got, want)
		}
	}
}

// drawing returns a path whose loads take 100ms and whose draws are x.
func drawing(x *float64) *Path {
	p := &Path{Early: &Early{Draw: func() float64 { return *x }}}
	p.Early.noteLoad(100 * time.Millisecond)
	return p
}

func TestAValueIsDue(t *testing.T) {
	var x float64
	p := drawing(&x)
	for _, tt := range []struct {
		draw, beta float64
		left, want time.Duration
	}{
		{1, 1, 100 * time.Millisecond, 100 * time.Millisecond},
		{1, 1, 101 * time.Millisecond, 0},
		{1, 2, 101 * time.Millisecond, 200 * time.Millisecond},
		{1.5, 1, 100 * time.Millisecond, 150 * time.Millisecond},
		{3, 1, 100 * time.Millisecond, 200 * time.Millisecond}, // twice as long as this copy lives
		{20, 1, 2 * time.Second, 2 * time.Second},
		{30, 1, 2*time.Second + 1, 0}, // before the zone
		{0, 1, 1, 0},
		{1, 0, 1, 0},
		{1, 1, 0, 0},
		{1, 1, -1, 0},
		{1, 1, math.MaxInt64, 0}, // it does not expire
	} {
		x = tt.draw
		if got := p.due(&Request{Beta: tt.beta}, "k", tt.left); got != tt.want {
			t.Errorf("draw %v, beta %v, %s left: %s, want %s", tt.draw, tt.beta, tt.left, got, tt.want)
		}
	}
	if x = 1; (&Path{}).due(&Request{Beta: 1}, "k", 1) != 0 {
		t.Error("without an Early, something is due")
	}
}

// The draws are those of the exponential distribution: a value with beta·mean left is due for one of e reads.
func TestHowOftenAValueIsDue(t *testing.T) {
	p := &Path{Early: &Early{}}
	p.Early.noteLoad(100 * time.Millisecond)
	const reads = 10_000
	for left, want := range map[time.Duration]float64{
		100 * time.Millisecond: reads / math.E, 200 * time.Millisecond: reads / math.E / math.E, 1: reads,
	} {
		due := 0
		for range reads {
			if p.due(&Request{Beta: 1}, "k", left) > 0 {
				due++
			}
		}
		if math.Abs(float64(due)-want) > 6*math.Sqrt(want) { // six standard deviations and more
			t.Errorf("with %s left, %d of %d are due, want about %.0f", left, due, reads, want)
		}
	}
}

func TestNothingIsDueDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := 19.0
		p := drawing(&x)
		req, recs := &Request{Beta: 1}, []*record.Record{{Key: "k", Ahead: 1}, {Key: "other"}}
		p.holdAhead(recs)
		if p.due(req, "k", time.Second) != 0 || p.due(req, "other", time.Second) == 0 {
			t.Error("a key whose early load failed is due, or another one is not")
		}
		time.Sleep(120 * time.Millisecond)
		if p.due(req, "k", time.Second) == 0 {
			t.Error("after the pause, it is not due")
		}
		p.holdAhead(recs)
		p.forgetHolds(recs)
		if p.due(req, "k", time.Second) == 0 {
			t.Error("after a success, it is not due")
		}
		(&Path{}).holdAhead(recs)
		(&Path{}).forgetHolds(recs)
	})
}

func TestWhichCopiesEndTooSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, tt := range []struct {
			got  record.Got
			want bool
		}{
			{record.Got{TTL: time.Second, Asked: now}, true},
			{record.Got{TTL: time.Second + 1, Asked: now}, false},
			{record.Got{TTL: 2 * time.Second, Asked: now.Add(-time.Second)}, true},
			{record.Got{TTL: time.Second, Asked: now.Add(-time.Minute)}, true}, // it has expired
			{record.Got{Asked: now}, false},                                    // it does not expire
			{record.Got{TTL: time.Hour, Assumed: true, Asked: now}, true},      // nobody knows
		} {
			if got := endsTooSoon(&record.Record{Got: tt.got, Ahead: time.Second}); got != tt.want {
				t.Errorf("%+v: %v", tt.got, got)
			}
			if endsTooSoon(&record.Record{Got: tt.got}) {
				t.Errorf("%+v: without an Ahead", tt.got)
			}
		}
	})
}
