package torture

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// tally has the counts of the judge.
type tally struct {
	reads, writes map[string]int // by how
	acked, failed int            // writes
	errors        map[string]int // by text
	verdicts      [wrong + 1]int
	lost, silent  int         // Mutates that said, and that did not say, that their fences were lost
	violations    []violation // the first ones
	staleness     staleness   // of nodes with nothing wrong
	troubled      staleness   // of nodes in trouble
}

// violation is a wrong read, with the history that led to it.
type violation struct {
	why     string
	history []string // of the key
	notes   []string // of the fleet
}

// staleness has the ages of right reads that were out of date, and the number of those that were
// not.
type staleness struct {
	fresh int
	ages  []time.Duration
}

// maxViolations bounds the number of violations that are kept.
const maxViolations = 5

func count(m *map[string]int, what string) {
	if *m == nil {
		*m = make(map[string]int)
	}
	(*m)[what]++
}

func (t *tally) write(w write) {
	count(&t.writes, w.how)
	if w.lost {
		t.lost++
	}
	if w.err == "" {
		t.acked++
	} else {
		t.failed++
		t.erred(w.err)
	}
}

func (t *tally) read(r read, v verdict) {
	count(&t.reads, r.how)
	t.verdicts[v]++
	if r.err != "" {
		t.erred(r.err)
	}
}

// erred counts an error by the beginning of its text, without quoted words and numbers, which
// differ each time.
func (t *tally) erred(text string) {
	const most = 100
	text, _, _ = strings.Cut(text, "\n")
	text = particulars.ReplaceAllString(text, "_")
	count(&t.errors, text[:min(most, len(text))])
}

var particulars = regexp.MustCompile(`"[^"]*"|\d+`)

func (t *tally) violated(why string, j *judge, l *ledger) {
	if len(t.violations) < maxViolations {
		t.violations = append(t.violations, violation{why, l.history(), slices.Clone(j.notes)})
	}
}

// note records how long the version of a right read has been out of date.
func (s *staleness) note(age time.Duration) {
	if age <= 0 {
		s.fresh++
	} else {
		s.ages = append(s.ages, age)
	}
}

// wrongs returns the number of wrong reads and writes.
func (j *judge) wrongs() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tally.verdicts[wrong] + j.tally.silent
}

// report returns the counts and the violations, as text.
func (j *judge) report() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := &j.tally
	var b strings.Builder
	fmt.Fprintf(&b, "reads: %s\nwrites: %s: %d acknowledged, %d failed\n", counts(t.reads, ", "), counts(t.writes, ", "), t.acked, t.failed)
	fmt.Fprintf(&b, "verdicts: %d right, %d errors or nothing, %d exempt, %d late, %d undone by a promotion, %d WRONG; of the writes, %d had lost their fences, %d did not say so\n",
		t.verdicts[right], t.verdicts[unjudged], t.verdicts[exempt], t.verdicts[late], t.verdicts[undone], t.verdicts[wrong], t.lost, t.silent)
	for i, s := range []*staleness{&t.staleness, &t.troubled} {
		what := []string{"nodes with nothing wrong", "nodes in trouble"}[i]
		slices.Sort(s.ages)
		fmt.Fprintf(&b, "out of date, within the bound, on %s: %d of %d reads", what, len(s.ages), len(s.ages)+s.fresh)
		if n := len(s.ages); n > 0 {
			fmt.Fprintf(&b, ", of these p50 %s p99 %s max %s", round(s.ages[n/2]), round(s.ages[n*99/100]), round(s.ages[n-1]))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "errors: %s\n", counts(t.errors, "\n  "))
	for _, v := range t.violations {
		fmt.Fprintf(&b, "WRONG: %s\n  %s\n  the fleet:\n  %s\n", v.why, strings.Join(v.history, "\n  "), strings.Join(v.notes, "\n  "))
	}
	return b.String()
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// counts returns counts as text, the largest first.
func counts(m map[string]int, separator string) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return m[b] - m[a] })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", m[name], name)
	}
	return strings.Join(names, separator)
}
