package main

import (
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, procs int, output string) *results {
	t.Helper()
	r := newResults(procs)
	if err := r.read(strings.NewReader(output)); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResultsAreParsed(t *testing.T) {
	r := read(t, 2, `goos: linux
BenchmarkA/b=1/serial-2   	  100	  30.0 ns/op	  0 B/op	  4 allocs/op
BenchmarkA/b=1/serial-2   	  100	  10.0 ns/op	  0 B/op	  4 allocs/op
BenchmarkA/b=1/serial     	  100	  99 ns/op
BenchmarkA/b=1/serial-2   	  100	  21.5 ns/op	  0 B/op	  5 allocs/op
BenchmarkTrace/keys=5%/x-2	  1	  55 ns/op	  12.5 hit-%
--- SKIP: BenchmarkRedis
    redis_test.go:17: skipped: no real Redis
    redis_test.go:17: skipped: no real Redis
PASS
`)
	for _, tt := range []struct {
		series
		want float64
	}{
		{series{"A/b=1/serial", 2, "ns/op"}, 21.5},
		{series{"A/b=1/serial", 2, "allocs/op"}, 4},
		{series{"A/b=1/serial", 1, "ns/op"}, 99},
		{series{"Trace/keys=5%/x", 2, "hit-%"}, 12.5},
	} {
		if got, ok := r.median(tt.series); !ok || got != tt.want {
			t.Errorf("%+v: %v, %v; want %v", tt.series, got, ok, tt.want)
		}
	}
	if _, ok := r.median(series{"none", 2, "ns/op"}); ok {
		t.Error("what was not measured has a median")
	}
	if !slices.Equal(r.names, []string{"A/b=1/serial", "Trace/keys=5%/x"}) {
		t.Errorf("the names are %q", r.names)
	}
	if !slices.Equal(r.skipped, []string{"no real Redis"}) {
		t.Errorf("skipped: %q", r.skipped)
	}
	if r.runs() != 3 {
		t.Errorf("%d runs, want 3", r.runs())
	}
}

func TestTheMedianOfTwoIsBetweenThem(t *testing.T) {
	r := read(t, 1, "BenchmarkA 1 10 ns/op\nBenchmarkA 1 20 ns/op\n")
	if got, _ := r.median(r.at("A", "ns/op")); got != 15 {
		t.Errorf("%v, want 15", got)
	}
}

func TestFailuresAndNonsenseAreErrors(t *testing.T) {
	for _, output := range []string{
		"--- FAIL: BenchmarkA/b",
		"panic: no",
		"BenchmarkA-2 100 many ns/op",
	} {
		if err := newResults(2).read(strings.NewReader(output)); err == nil {
			t.Errorf("%q is no error", output)
		}
	}
}

func TestPassesInterleave(t *testing.T) {
	all := passes(settings{count: 3, benchtime: 1, procs: 2})
	if len(all) != 3*3+1+3 {
		t.Fatalf("%d passes", len(all))
	}
	for n, p := range all[:9] {
		if want := []string{timed, scaling, storms}[n%3]; p.pattern != want {
			t.Errorf("pass %d is %s", n, p.pattern)
		}
	}
}
