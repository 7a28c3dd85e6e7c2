// Command fleet measures what a fleet of caches costs its Redis, by the number of its nodes, and
// prints a table in Markdown. Each node is a cache with a link, fences and leases, and has a client of
// its own. The nodes are in a few processes, so that Redis has a core of the machine for itself.
//
//	go run ./cmd/fleet                     # about three minutes
//	go run ./cmd/fleet -nodes 2,10,50 -for 5s
//	REDIS_ADDR=host:port go run ./cmd/fleet
//
// Without REDIS_ADDR it starts a redis-server on a loopback port. A Redis at REDIS_ADDR must have
// nothing else to do, as its counters are those of the whole server.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if config := os.Getenv(childVariable); config != "" {
		if err := runChild(config, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "fleet:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "fleet:", err)
		}
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	nodes     []int
	lasts     time.Duration
	rate      int
	processes int
}

func run(args []string, out, progress io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	addr, stop, err := openRedis(os.Getenv("REDIS_ADDR"))
	if err != nil {
		return err
	}
	defer stop()
	server, err := connect(addr)
	if err != nil {
		return err
	}
	defer server.close()
	rows := make([]row, 0, len(s.nodes))
	for _, n := range s.nodes {
		fmt.Fprintf(progress, "%d nodes\n", n)
		r, err := measureFleet(server, s, n)
		if err != nil {
			return fmt.Errorf("%d nodes: %w", n, err)
		}
		rows = append(rows, r)
	}
	return writeTable(out, s, rows)
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	nodes := flags.String("nodes", "2,10,50,100,200,400", "the numbers of nodes")
	flags.DurationVar(&s.lasts, "for", 10*time.Second, "how long each measurement lasts")
	flags.IntVar(&s.rate, "rate", 200, "changes a second, of the whole fleet, when it is not idle")
	flags.IntVar(&s.processes, "processes", 2, "processes that have the nodes")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	for text := range strings.SplitSeq(*nodes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return s, fmt.Errorf("-nodes %s: give numbers of nodes, as in 2,10", *nodes)
		}
		s.nodes = append(s.nodes, n)
	}
	if s.rate < 1 || s.processes < 1 || s.lasts <= 0 {
		return s, errors.New("-rate, -processes and -for must be above zero")
	}
	return s, nil
}
