package main

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// environment is what numbers depend on, as far as it says nothing about whose machine it
// was.
type environment struct {
	goVersion string
	cores     int
	modules   []string // what is measured, with versions
}

// measuredModules are named with their versions.
var measuredModules = []string{
	"github.com/maypok86/otter/v2", "github.com/dgraph-io/ristretto/v2", "github.com/coocood/freecache",
	"github.com/go-redis/cache/v9", "github.com/viccon/sturdyc", "github.com/Yiling-J/theine-go",
	"github.com/hashicorp/golang-lru/v2", "github.com/redis/go-redis/v9", "github.com/redis/rueidis",
	"github.com/vmihailenco/msgpack/v5", "github.com/bytedance/sonic",
}

// describe returns the environment of this run.
func describe() (environment, error) {
	version, err := goOutput("", "env", "GOVERSION")
	if err != nil {
		return environment{}, err
	}
	list, err := goOutput("", append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}"}, measuredModules...)...)
	if err != nil {
		return environment{}, err
	}
	return environment{goVersion: version, cores: runtime.NumCPU(), modules: strings.Split(list, "\n")}, nil
}

// document returns the Markdown; plots are in the directory plots beside it.
func document(r *results, rows []row, e environment, command, plots string) string {
	var b strings.Builder
	b.WriteString("# Performance\n\n")
	b.WriteString("How fast jetcache-go is, in comparison with the libraries that its users would use instead. Each library is used as\n")
	b.WriteString("its documentation says. All figures are of one run. Other machines have other times, but similar ratios. The\ncommand below writes this file.\n\n")
	fmt.Fprintf(&b, "```\ncd benchmarks && %s\n```\n\n", command)
	fmt.Fprintf(&b, "%s, %s/%s, %d cores, GOMAXPROCS %d; medians of %s. ", e.goVersion, runtime.GOOS, runtime.GOARCH, e.cores, r.procs, rounds(r.runs()))
	b.WriteString("The entity has an id, a name, an e-mail\naddress, roles, a time and attributes: about 300 bytes in MessagePack. Redis runs on the same machine.\n\n")
	b.WriteString("Versions:\n\n- " + strings.Join(e.modules, "\n- ") + "\n\n")
	b.WriteString("A ratio is the median of the ratios of the rounds. The ratio of a round compares two times of the same round.\n\n")
	b.WriteString("## Targets\n\n" + summary(rows) + "\n\n")
	writeMarkdownTable(&b, rowTitles, len(rows), func(i int) []string { return rows[i].cells() })
	for _, reason := range r.skipped {
		fmt.Fprintf(&b, "\nSkipped: %s.\n", reason)
	}
	for _, g := range groups(r) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n![%s](%s)\n\n", g.title, g.text, g.title, path.Join(plots, g.file()))
		titles, cells := g.table(r)
		writeMarkdownTable(&b, titles, len(cells), func(i int) []string { return cells[i] })
	}
	return b.String()
}

// rounds says how many there were.
func rounds(n int) string {
	if n == 1 {
		return "a single round, which is a rough guide at best"
	}
	return fmt.Sprintf("%d rounds", n)
}

// table returns the group as text.
func (g group) table(r *results) (titles []string, cells [][]string) {
	cols := g.cols(r)
	titles = []string{""}
	for _, c := range cols {
		titles = append(titles, columnTitle(c, g.unit))
	}
	if g.allocs {
		titles = append(titles, "allocs/op")
	}
	for _, who := range g.rows(r) {
		name := label(who)
		if ours(who) {
			name = "**" + name + "**"
		}
		line := []string{name}
		for _, c := range cols {
			text := ""
			if v, ok := g.value(r, who, c); ok {
				text = number(v, g.unit)
			}
			line = append(line, text)
		}
		if g.allocs {
			text := ""
			if v, ok := r.median(r.at(g.bench(who, cols[len(cols)-1].name), "allocs/op")); ok {
				text = number(v, "allocs/op")
			}
			line = append(line, text)
		}
		cells = append(cells, line)
	}
	return titles, cells
}

// columnTitle is the title of a column, or of the only one.
func columnTitle(c column, unit string) string {
	if c.title != "" {
		return c.title
	}
	return strings.TrimSuffix(unitTitle(unit), ", ns")
}

// unitTitle says what a unit measures.
func unitTitle(unit string) string {
	switch unit {
	case "ns/op":
		return "time, ns"
	case "ids-asked":
		return "ids asked for"
	case "p99-ms":
		return "99th percentile, ms"
	case "heap-B/entry":
		return "bytes for each entry"
	case "heap-KiB":
		return "KiB"
	case "hit-%":
		return "hits, %"
	}
	return unit
}

func writeMarkdownTable(b *strings.Builder, titles []string, n int, line func(i int) []string) {
	b.WriteString("| " + strings.Join(titles, " | ") + " |\n|" + strings.Repeat(" --- |", len(titles)) + "\n")
	for i := range n {
		cells := line(i)
		for j, c := range cells {
			cells[j] = strings.ReplaceAll(strings.ReplaceAll(c, "<", "&lt;"), "|", "\\|")
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
}
