package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeTable prints the rows for a terminal, and how many targets are met.
func writeTable(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lines := [][]string{rowTitles}
	for _, r := range rows {
		lines = append(lines, r.cells())
	}
	for _, cells := range lines {
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\n"+summary(rows))
	return err
}

var rowTitles = []string{"case", "beside", "median", "floor", "ratio", "target", "allocs/op", "met"}

func (r row) cells() []string {
	return []string{r.what, r.beside, r.ours, r.floor, r.ratio, r.reach, r.allocs, r.verdict.String()}
}

// summary says how many targets are met.
func summary(rows []row) string {
	count := map[verdict]int{}
	for _, r := range rows {
		count[r.verdict]++
	}
	text := fmt.Sprintf("%d of %d targets are met", count[met], count[met]+count[missed])
	if n := count[notMeasured]; n > 0 {
		text += fmt.Sprintf("; %d were not measured", n)
	}
	return text + "."
}
