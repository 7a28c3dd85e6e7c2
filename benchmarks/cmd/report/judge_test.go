package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	r := read(t, 2, `
BenchmarkOurs-2    1  140 ns/op  2 allocs/op
BenchmarkFloor-2   1  100 ns/op  1 allocs/op
BenchmarkSlow-2    1  1500 ns/op
BenchmarkHigh-2    1  5 ns/op  80 hit-%
BenchmarkHigher-2  1  5 ns/op  81 hit-%
BenchmarkIDs-2     1  5 ns/op  200 ids-asked
`)
	ours, floor, slow := r.at("Ours", "ns/op"), r.at("Floor", "ns/op"), r.at("Slow", "ns/op")
	allocs := r.at("Floor", "allocs/op")
	for _, tt := range []struct {
		name string
		target
		want  verdict
		ratio string
	}{
		{"within", target{ours: ours, floor: []series{floor}, limit: limit{atMostTimes, 1.5}}, met, "1.40 ×"},
		{"above", target{ours: ours, floor: []series{floor}, limit: limit{atMostTimes, 1.3}}, missed, "1.40 ×"},
		{"the least of several", target{ours: ours, floor: []series{slow, floor}, limit: limit{atMostTimes, 1.3}}, missed, "1.40 ×"},
		{"too many allocations", target{ours: ours, floor: []series{floor}, limit: limit{atMostTimes, 1.5}, allocs: &ceiling{n: 1}}, missed, "1.40 ×"},
		{"allocations above another's", target{ours: ours, floor: []series{floor}, limit: limit{atMostTimes, 1.5}, allocs: &ceiling{n: 1, above: &allocs}}, met, "1.40 ×"},
		{"fast enough", target{ours: ours, floor: []series{slow}, limit: limit{fasterTimes, 10}}, met, "10.71 × faster"},
		{"not fast enough", target{ours: ours, floor: []series{slow}, limit: limit{fasterTimes, 11}}, missed, "10.71 × faster"},
		{"near the best", target{ours: r.at("High", "hit-%"), floor: []series{r.at("Higher", "hit-%"), r.at("High", "hit-%")}, limit: limit{withinPoints, 1.5}}, met, "-1.0 points"},
		{"far from the best", target{ours: r.at("High", "hit-%"), floor: []series{r.at("Higher", "hit-%")}, limit: limit{withinPoints, 0.5}}, missed, "-1.0 points"},
		{"exactly", target{ours: r.at("IDs", "ids-asked"), limit: limit{exactly, 200}}, met, ""},
		{"not exactly", target{ours: r.at("IDs", "ids-asked"), limit: limit{exactly, 199}}, missed, ""},
		{"at most", target{ours: ours, limit: limit{atMost, 140}}, met, ""},
		{"below", target{ours: ours, limit: limit{below, 140}}, missed, ""},
		{"shown", target{ours: ours, floor: []series{floor}}, noTarget, "1.40 ×"},
		{"without ours", target{ours: r.at("None", "ns/op"), floor: []series{floor}, limit: limit{atMostTimes, 1.5}}, notMeasured, ""},
		{"without floor", target{ours: ours, floor: []series{r.at("None", "ns/op")}, limit: limit{atMostTimes, 1.5}}, notMeasured, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.judge(r)
			if got.verdict != tt.want || got.ratio != tt.ratio {
				t.Errorf("%v, %q; want %v, %q", got.verdict, got.ratio, tt.want, tt.ratio)
			}
		})
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "allocs/op", "0"}, {27, "allocs/op", "27"}, {1.25, "loads", "1.25"},
		{9.87, "ns/op", "9.87 ns"}, {98.76, "ns/op", "98.8 ns"}, {987.6, "ns/op", "988 ns"},
		{9876, "ns/op", "9.88 µs"}, {98_765_432, "ns/op", "98.8 ms"}, {2e9, "ns/op", "2 s"},
		{274.8, "heap-B/entry", "275 B"}, {71.99, "hit-%", "72.0 %"}, {51.2, "p99-ms", "51.2 ms"},
	} {
		if got := number(tt.v, tt.unit); got != tt.want {
			t.Errorf("%v %s is %q, want %q", tt.v, tt.unit, got, tt.want)
		}
	}
}

func TestTheTableHasEveryTarget(t *testing.T) {
	r := read(t, 2, `
BenchmarkLocalHit/T.Get_Otter/serial-2  1  140 ns/op  0 B/op  0 allocs/op
BenchmarkLocalHit/raw_otter/serial-2    1  100 ns/op  0 B/op  0 allocs/op
BenchmarkHitRatio/shop/keys=5%/Otter-2  1  100 ns/op  70 hit-%
BenchmarkHitRatio/shop/keys=5%/theine-2 1  100 ns/op  75 hit-%
`)
	rows := judge(targets(r), r)
	var out bytes.Buffer
	if err := writeTable(&out, rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"T.Get, local hit, Otter, serial", "1.40 ×", "≤ 1.5 ×, ≤ 0 allocs", "hit ratio, Otter, shop, 5 % of the keys", "-5.0 points",
		"1 of 2 targets are met", "were not measured",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestRatiosAreThoseOfTheRounds(t *testing.T) {
	r := read(t, 2, `
BenchmarkOurs-2   1   10 ns/op
BenchmarkFloor-2  1   10 ns/op
BenchmarkOurs-2   1  300 ns/op
BenchmarkFloor-2  1  200 ns/op
BenchmarkOurs-2   1   90 ns/op
BenchmarkFloor-2  1   75 ns/op
`)
	got := target{ours: r.at("Ours", "ns/op"), floor: []series{r.at("Floor", "ns/op")}, limit: limit{atMostTimes, 1.2}}.judge(r)
	if got.ratio != "1.20 ×" || got.verdict != met || got.ours != "90 ns" || got.floor != "75 ns" {
		t.Errorf("%+v", got)
	}
}
