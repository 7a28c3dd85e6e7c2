// Command report runs the benchmarks of this module several times and prints how
// jetcache-go stands beside its peers: the medians, what they are to the floor, and the
// targets. It can write that as Markdown with plots.
//
//	go run ./cmd/report                                  # about ten minutes
//	go run ./cmd/report -quick                           # about a minute, and rough
//	go run ./cmd/report -o ../docs/performance.md        # and the plots in ../docs/performance/
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "report:", err)
		}
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	count     int
	benchtime time.Duration
	procs     int
	quick     bool
	output    string // the Markdown file; "": none
	save      string // where the benchmarks' own output goes; "": nowhere
	from      string // such a file, to report on instead of running anything
}

func run(args []string, out, progress io.Writer) (err error) {
	var s settings
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.IntVar(&s.count, "count", 8, "rounds; each runs every benchmark of a time once")
	flags.DurationVar(&s.benchtime, "benchtime", 200*time.Millisecond, "how long a benchmark runs in a round")
	flags.IntVar(&s.procs, "cpu", 2, "processors to use (GOMAXPROCS)")
	flags.BoolVar(&s.quick, "quick", false, "one short round, and hit ratios for 10 % of the keys alone")
	flags.StringVar(&s.output, "o", "", "write Markdown to this `file`, and plots into the directory of its name")
	flags.StringVar(&s.save, "save", "", "write the output of the benchmarks to this `file`")
	flags.StringVar(&s.from, "from", "", "report on a `file` that -save wrote, and run nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if s.quick {
		s.count, s.benchtime = 1, 50*time.Millisecond
	}
	if s.count < 1 || s.procs < 1 {
		return errors.New("-count and -cpu have to be at least 1")
	}

	r, err := gather(s, progress)
	if err != nil {
		return err
	}
	rows := judge(targets(r), r)
	if err := writeTable(out, rows); err != nil {
		return err
	}
	for _, reason := range r.skipped {
		if _, err := fmt.Fprintln(out, "skipped:", reason); err != nil {
			return err
		}
	}
	if s.output == "" {
		return nil
	}
	return writeDocument(s.output, r, rows, commandOf(flags))
}

// commandOf returns the command that repeats a run, without the flags that change nothing of
// what it finds.
func commandOf(flags *flag.FlagSet) string {
	command := "go run ./cmd/report"
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "save", "from":
		case "quick":
			command += " -quick"
		default:
			command += " -" + f.Name + " " + f.Value.String()
		}
	})
	return command
}

// writeDocument writes the Markdown file and the plots it shows.
func writeDocument(file string, r *results, rows []row, command string) error {
	e, err := describe()
	if err != nil {
		return err
	}
	dir := strings.TrimSuffix(file, filepath.Ext(file))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, g := range groups(r) {
		if err := os.WriteFile(filepath.Join(dir, g.file()), []byte(plot(g, r)), 0o644); err != nil {
			return err
		}
	}
	kept, err := others(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(document(r, rows, e, command, filepath.Base(dir))+kept), 0o644)
}

// othersBegin stands above the figures that other commands have made.
const othersBegin = "\n<!-- Other commands have made what follows. -->\n"

// others returns the end of the document that this command does not make, with its mark. It is empty if
// there is none.
func others(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	_, kept, found := strings.Cut(string(text), othersBegin)
	if !found {
		return "", nil
	}
	return othersBegin + kept, nil
}
