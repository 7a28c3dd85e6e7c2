package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func comparison() *replay {
	r := &replay{
		config: config{local: 2000, limit: 10 * time.Second}, server: "an embedded Redis",
		plain: &fleet{name: "plain", db: newDatabase(0)}, coherent: &fleet{name: "coherent", db: newDatabase(0)}, took: 5 * time.Second,
	}
	for _, f := range []*fleet{r.plain, r.coherent} {
		f.reads.Store(40_000)
		f.latency.add(time.Millisecond)
	}
	r.plain.stale.Store(1234)
	r.plain.behind.Store(int64(1900 * time.Millisecond))
	return r
}

func TestTheReportComparesTheFleets(t *testing.T) {
	r := comparison()
	var out bytes.Buffer
	r.print(&out, 80)
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"stale answers 1,234 (3.08%) 0 (0.00%)", "keys read 40,000 40,000",
		"With WithSyncLocal, WithFence and WithLease no answer was stale; without them 1,234 were, for up to 1.9s.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
	r.coherent.stale.Store(2)
	r.coherent.behind.Store(int64(3 * time.Millisecond))
	if got := r.conclusion(); !strings.Contains(got, "2 answers were stale, for at most 3ms") {
		t.Errorf("with two stale answers: %s", got)
	}
}

func TestTheReportFitsTheTerminal(t *testing.T) {
	r := comparison()
	for _, width := range []int{200, 80, 60, 40, 25} {
		var out bytes.Buffer
		r.print(&out, width)
		for line := range strings.Lines(out.String()) {
			if n := len(strings.TrimSuffix(line, "\n")); n >= width {
				t.Errorf("width %d: a line of %d columns: %q", width, n, line)
			}
		}
		if !strings.Contains(out.String(), "1,234") {
			t.Errorf("width %d: no stale answers:\n%s", width, &out)
		}
	}
}

func TestStatus(t *testing.T) {
	r := comparison()
	for _, test := range []struct {
		done    float64
		elapsed time.Duration
		limit   time.Duration
		want    string
	}{
		{0, 4 * time.Second, 10 * time.Second, " 40%   6.0s left  stale: 1,234 plain, 0 coherent  of 40,000 reads"},
		{0.5, 4 * time.Second, 10 * time.Second, " 50%   4.0s left"}, // the log ends before the time
		{0.5, 4 * time.Second, 0, " 50%   4.0s left"},
		{0, 4 * time.Second, 0, " 4.0s  stale: 1,234"}, // nobody knows how long it takes
		{1, 12 * time.Second, 10 * time.Second, "100%   0.0s left"},
	} {
		r.limit = test.limit
		if got := r.status(test.done, test.elapsed); !strings.HasPrefix(got, test.want) {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// screen is what a terminal of this width shows of what is written to it. It counts the lines
// that wrap.
type screen struct {
	width, wrapped int
	lines          []string
	column         int
}

func (s *screen) Write(p []byte) (int, error) {
	if len(s.lines) == 0 {
		s.lines = []string{""}
	}
	for _, r := range string(p) {
		last := &s.lines[len(s.lines)-1]
		switch r {
		case '\r':
			s.column = 0
		case '\n':
			s.lines, s.column = append(s.lines, ""), 0
		default:
			if s.column++; s.column > s.width {
				s.wrapped++
			}
			if s.column <= len(*last) {
				*last = (*last)[:s.column-1] + string(r) + (*last)[s.column:]
			} else {
				*last += string(r)
			}
		}
	}
	return len(p), nil
}

func TestOneLineOfATerminalIsRewritten(t *testing.T) {
	for _, width := range []int{80, 20, 1} {
		s := &screen{width: width}
		p := &progress{out: s, width: func() (int, bool) { return width, true }}
		p.show("50%  a long line with the reads")
		p.show("100%  short")
		want := "100%  short"[:min(len("100%  short"), width-1)]
		if len(s.lines) != 1 || strings.TrimRight(s.lines[0], " ") != want || s.wrapped > 0 {
			t.Errorf("width %d: %q, %d columns wrapped", width, s.lines, s.wrapped)
		}
		if _, err := p.Write([]byte("log\n")); err != nil {
			t.Fatal(err)
		}
		p.show("100%  short")
		p.clear()
		if got := strings.TrimSpace(strings.Join(s.lines, "|")); !strings.HasPrefix(got, "log") || strings.Contains(got, "%") {
			t.Errorf("width %d: %q after a line of the log", width, s.lines)
		}
	}
}

func TestProgressElsewhereIsALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for terminal, want := range map[bool]int{true: 90, false: 4} {
			var out bytes.Buffer
			p := &progress{out: &out, width: func() (int, bool) { return 80, terminal }, every: 100 * time.Millisecond, rarely: 2 * time.Second}
			stop := p.start(func() string { return "status" })
			time.Sleep(9*time.Second + time.Millisecond)
			synctest.Wait()
			stop()
			if n := strings.Count(out.String(), "status"); n != want || strings.Contains(out.String(), "\r") != terminal {
				t.Errorf("terminal %v: shown %d times, want %d: %q", terminal, n, want, out.String())
			}
		}
	})
}
