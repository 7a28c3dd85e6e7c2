package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someResults = `
BenchmarkLocalHit/raw_otter/serial-2             1   200 ns/op    0 B/op   0 allocs/op
BenchmarkLocalHit/raw_otter/parallel-2           1   100 ns/op    0 B/op   0 allocs/op
BenchmarkLocalHit/T.Get_Otter/serial-2           1   300 ns/op    0 B/op   0 allocs/op
BenchmarkLocalHit/T.Get_Otter/parallel-2         1   150 ns/op    0 B/op   0 allocs/op
BenchmarkHitRatio/shop&co/keys=1%/Otter-2        1   1 ns/op  50 hit-%
BenchmarkHitRatio/shop&co/keys=5%/Otter-2        1   1 ns/op  70 hit-%
BenchmarkHitRatio/shop&co/keys=5%/FreeCache-2    1   1 ns/op  60 hit-%
`

func TestGroupsFindTheirRowsAndColumns(t *testing.T) {
	r := read(t, 2, someResults)
	all := groups(r)
	if len(all) != 2 {
		t.Fatalf("%d groups, want two: %+v", len(all), all)
	}
	if rows := strings.Join(all[0].rows(r), " "); rows != "raw_otter T.Get_Otter" {
		t.Errorf("the rows are %q", rows)
	}
	titles, cells := all[1].table(r)
	if got := strings.Join(titles, "|"); got != "|1 % of the keys|5 % of the keys" {
		t.Errorf("the titles are %q", got)
	}
	if got := strings.Join(cells[1], "|"); got != "**FreeCache**||60 %" {
		t.Errorf("the second row is %q: what was not measured is empty", got)
	}
}

func TestPlotsAreWellFormedAndHaveTheValues(t *testing.T) {
	r := read(t, 2, someResults)
	for _, g := range groups(r) {
		svg := plot(g, r)
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", g.title, err, svg)
			}
		}
		if !strings.Contains(svg, "prefers-color-scheme:dark") {
			t.Errorf("%s has no colors for dark backgrounds", g.title)
		}
	}
	svg := plot(groups(r)[0], r)
	for _, want := range []string{">300 ns<", ">100 ns<", ">T.Get Otter<", ">raw otter<", ">one goroutine<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is missing in\n%s", want, svg)
		}
	}
}

func TestTicks(t *testing.T) {
	for highest, want := range map[float64]float64{0: 1, 3: 1, 4.9: 1, 7: 2, 23: 5, 480: 100, 5190: 2000} {
		if got := tickStep(highest); got != want {
			t.Errorf("the step for %v is %v, want %v", highest, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 20: "20", 1500: "1,500", 2_000_000: "2,000,000"} {
		if got := tick(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// TestFromAFile runs the command on what an earlier run saved.
func TestFromAFile(t *testing.T) {
	dir := t.TempDir()
	saved, doc := filepath.Join(dir, "saved.txt"), filepath.Join(dir, "performance.md")
	if err := os.WriteFile(saved, []byte(someResults), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(doc, []byte("# Old\n"+othersBegin+"\n## Of another command\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run([]string{"-from", saved, "-o", doc, "-count", "3"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Performance", "| T.Get, local hit, Otter, serial |", "![Local hit](performance/local-hit.svg)", "go run ./cmd/report -count 3", "otter/v2 v2."} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !strings.HasSuffix(string(text), othersBegin+"\n## Of another command\n") || strings.Contains(string(text), "# Old") {
		t.Errorf("what other commands have made is not kept:\n%s", text)
	}
	if strings.Contains(string(text), saved) {
		t.Error("the command in the document names the file that was read")
	}
	plots, err := filepath.Glob(filepath.Join(dir, "performance", "*.svg"))
	if err != nil || len(plots) != 2 {
		t.Errorf("the plots are %q, %v", plots, err)
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-count", "0"}, {"-cpu", "0"}, {"more"}, {"-from", "there is no such file"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is no error", args)
		}
	}
}
