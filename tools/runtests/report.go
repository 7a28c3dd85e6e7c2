package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// event is a line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	ImportPath  string // of build-output
	FailedBuild string
}

// report prints what the tests of packages say and counts them.
type report struct {
	out     io.Writer
	begun   time.Time
	printed time.Time // the last time

	running map[string]*packageRun // packages under test, by import path

	packages       map[string]bool // all that have been tested
	passed         int             // tests
	failedTests    int
	failures       []string       // names of tests, and of packages that failed without a test
	skips          map[string]int // tests, by reason
	failedCommands int
}

// packageRun is what the tests of one package have said so far.
type packageRun struct {
	output []string            // of no test in particular
	tests  map[string]*testRun // by name
	order  []string            // of their beginnings
}

// testRun is what one test has said so far.
type testRun struct {
	output []string
	result string // "pass", "fail" or "skip"; "" while it runs
	parent bool   // of subtests, which are counted instead of it
}

func newReport(out io.Writer) *report {
	now := time.Now()
	return &report{
		out: out, begun: now, printed: now,
		running: map[string]*packageRun{}, packages: map[string]bool{}, skips: map[string]int{},
	}
}

func (r *report) print(text string) {
	_, _ = io.WriteString(r.out, text)
	r.printed = time.Now()
}

// add takes in one event.
func (r *report) add(e event) {
	switch {
	case e.Action == "build-output":
		r.print(e.Output)
	case e.Package == "":
	case e.Test != "":
		r.addTest(r.run(e.Package), e)
	case e.Action == "output":
		p := r.run(e.Package)
		p.output = append(p.output, e.Output)
	case e.Action == "pass", e.Action == "fail", e.Action == "skip":
		r.endPackage(e)
	default:
		r.run(e.Package)
	}
}

func (r *report) run(path string) *packageRun {
	p, ok := r.running[path]
	if !ok {
		p = &packageRun{tests: map[string]*testRun{}}
		r.running[path] = p
	}
	return p
}

func (r *report) addTest(p *packageRun, e event) {
	t, ok := p.tests[e.Test]
	if !ok {
		t = &testRun{}
		p.tests[e.Test] = t
		p.order = append(p.order, e.Test)
		if end := strings.LastIndexByte(e.Test, '/'); end >= 0 && p.tests[e.Test[:end]] != nil {
			p.tests[e.Test[:end]].parent = true
		}
	}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			t.output = append(t.output, e.Output)
		}
	case "pass", "fail", "skip":
		t.result = e.Action
	}
}

// endPackage prints the result of a package, with everything that its failed tests said, and
// counts its tests. A package without tests leaves no trace.
func (r *report) endPackage(e event) {
	p := r.run(e.Package)
	delete(r.running, e.Package)
	if e.Action == "skip" {
		return
	}
	passed := e.Action == "pass"
	r.packages[e.Package] = true
	failuresBefore := len(r.failures)
	for _, name := range p.order {
		r.endTest(e.Package, name, p)
	}
	for _, line := range p.output {
		if !passed || strings.HasPrefix(line, "ok  \t") {
			r.print(line)
		}
	}
	if !passed && len(r.failures) == failuresBefore {
		why := " (its tests passed, but the process failed)"
		if e.FailedBuild != "" {
			why = " (it does not build)"
		}
		r.failures = append(r.failures, short(e.Package)+why)
	}
}

func (r *report) endTest(path, name string, p *packageRun) {
	t := p.tests[name]
	switch {
	case t.failed():
		if !p.subtestFailed(name) {
			r.failedTests++
			r.failures = append(r.failures, short(path)+"."+name)
		}
		// Go prints this line last where it follows a test as it runs; it belongs above the rest.
		isResult := func(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " "), "--- FAIL: "+name+" ") }
		for _, line := range t.output {
			if isResult(line) {
				r.print(line)
			}
		}
		for _, line := range t.output {
			if !isResult(line) {
				r.print(line)
			}
		}
	case t.parent:
	case t.result == "pass":
		r.passed++
	default:
		r.skips[reason(t.output)]++
	}
}

// failed says whether the test failed, or never ended.
func (t *testRun) failed() bool { return t.result != "pass" && t.result != "skip" }

func (p *packageRun) subtestFailed(name string) bool {
	for other, t := range p.tests {
		if t.failed() && strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// reason returns why a test was skipped, in its own words.
func reason(output []string) string {
	for _, line := range output {
		// The form is "    file_test.go:12: skipped: why".
		if place, why, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && strings.Contains(place, ".go:") {
			return strings.TrimPrefix(why, "skipped: ")
		}
	}
	return "no reason given"
}

// waiting says what the report waits for.
func (r *report) waiting() string {
	took := time.Since(r.begun).Round(time.Second)
	if len(r.running) == 0 {
		return fmt.Sprintf("   still compiling (%s since the start)\n", took)
	}
	names := slices.Sorted(maps.Keys(r.running))
	for i, name := range names {
		names[i] = short(name)
	}
	return fmt.Sprintf("   still testing %s (%s since the start)\n", strings.Join(names, ", "), took)
}

func (r *report) failed() bool { return len(r.failures) > 0 || r.failedCommands > 0 }

// shownFailures is how many failed tests the summary names.
const shownFailures = 10

// summary returns the one line that says what ran in the modules.
func (r *report) summary(modules int) string {
	var b strings.Builder
	took := time.Since(r.begun).Round(time.Second)
	where := fmt.Sprintf("%s of %s", count(len(r.packages), "package"), count(modules, "module"))
	if r.failed() {
		fmt.Fprintf(&b, "FAIL: %s of %d failed, in %s, after %s", count(r.failedTests, "test"), r.failedTests+r.passed, where, took)
		shown := r.failures[:min(len(r.failures), shownFailures)]
		if len(shown) > 0 {
			b.WriteString(": " + strings.Join(shown, ", "))
		}
		if more := len(r.failures) - len(shown); more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
		if len(shown) == 0 {
			b.WriteString(": the go command failed; its error is above")
		}
	} else {
		fmt.Fprintf(&b, "ok: %s passed, in %s, after %s", count(r.passed, "test"), where, took)
	}
	b.WriteString("; " + r.skipped())
	return b.String()
}

func (r *report) skipped() string {
	if len(r.skips) == 0 {
		return "none was skipped"
	}
	total := 0
	reasons := slices.SortedFunc(maps.Keys(r.skips), func(a, b string) int {
		if d := r.skips[b] - r.skips[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if len(reasons) == 1 {
		return fmt.Sprintf("%d skipped (%s)", r.skips[reasons[0]], reasons[0])
	}
	for i, why := range reasons {
		n := r.skips[why]
		total += n
		reasons[i] = fmt.Sprintf("%d (%s)", n, why)
	}
	return fmt.Sprintf("%d skipped: %s", total, strings.Join(reasons, ", "))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short returns the import path without what all packages of this repository have in common.
func short(path string) string {
	const module = "github.com/mgtv-tech/jetcache-go"
	if path == module {
		return "cache"
	}
	return strings.TrimPrefix(path, module+"/")
}
