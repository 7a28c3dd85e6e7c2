// Command replay sends the same requests to two fleets, and compares their answers. Each fleet
// has two instances of a service, with a local level each in front of one Redis and a slow
// database. The plain fleet uses these two levels alone; the coherent fleet also has
// WithSyncLocal, WithFence and WithLease. The command counts the stale answers of both, and
// exits with 1 if an answer was never true or a call failed.
//
//	replay                        five seconds of a Zipf workload, on an embedded Redis
//	replay -time 1m               a minute of it
//	replay -n 100000              100,000 accesses of it
//	replay -log access.txt.gz     a log with one key a line, plain or gzip; "-" is standard input
//	replay -redis 127.0.0.1:6379  on a real Redis
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

// config is what the flags say.
type config struct {
	log      string
	redis    string
	limit    time.Duration // zero: none
	accesses int           // zero: no bound
	keys     int
	latency  time.Duration
	workers  int
	batches  float64
	batch    int
	writes   float64
	local    int
	localTTL time.Duration
}

// defaultLimit is how long a replay lasts if no flag bounds it.
const defaultLimit = 5 * time.Second

// parse returns what the arguments of the command say.
func parse(args []string, output io.Writer) (c config, err error) {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&c.log, "log", "", `access log, one key a line, plain or gzip; "-" is standard input; a Zipf workload if empty`)
	flags.StringVar(&c.redis, "redis", "", "address of a Redis; an embedded one if empty")
	flags.DurationVar(&c.limit, "time", defaultLimit, "how long the replay lasts; 0 is no limit; no limit is the default with -n or -log")
	flags.IntVar(&c.accesses, "n", 0, "how many accesses are replayed; 0 is no bound")
	flags.IntVar(&c.keys, "keys", 5_000, "distinct keys of the Zipf workload")
	flags.DurationVar(&c.latency, "db-latency", 2*time.Millisecond, "how long the database takes for a query or a change")
	flags.IntVar(&c.workers, "workers", 16, "requests that each fleet serves at a time")
	flags.Float64Var(&c.batches, "batches", 0.1, "share of the accesses that come in batches")
	flags.IntVar(&c.batch, "batch", 20, "keys of a batch")
	flags.Float64Var(&c.writes, "writes", 0.05, "share of the other requests that change an entity")
	flags.IntVar(&c.local, "local", 2_000, "entries in the local level of each instance")
	flags.DurationVar(&c.localTTL, "local-ttl", 2*time.Second, "how long the local level keeps an entry")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["time"] && (given["n"] || given["log"]) {
		c.limit = 0
	}
	return c, c.check(flags.Args())
}

// check returns an error if a flag has no sense.
func (c config) check(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("%q is not a flag", args[0])
	case c.keys < 2 || c.workers < 1 || c.batch < 1 || c.local < 1:
		return errors.New("-keys must be 2 or more, and -workers, -batch and -local 1 or more")
	case c.accesses < 0 || c.limit < 0 || c.latency < 0 || c.localTTL < 0:
		return errors.New("-n, -time, -db-latency and -local-ttl must not be negative")
	case c.log == "" && c.accesses == 0 && c.limit == 0:
		return errors.New("give -n or -time, as the Zipf workload has no end")
	case !(c.batches >= 0 && c.batches <= 1) || !(c.writes >= 0 && c.writes <= 1):
		return errors.New("-batches and -writes must be from 0 to 1")
	}
	return nil
}

func main() {
	c, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "replay: %v; see -help\n", err)
		os.Exit(2)
	}
	// The first interrupt ends the replay early, with a report. The second ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	p := newProgress(os.Stderr)
	slog.SetDefault(slog.New(slog.NewTextHandler(p, nil))) // the caches log what fails
	logging.Disable()                                      // go-redis would log the same
	r, err := run(ctx, c, p)
	if err != nil {
		log.Fatal("replay: ", err)
	}
	r.print(os.Stdout, widthOf(os.Stdout))
	for _, f := range []*fleet{r.plain, r.coherent} {
		if err := f.trouble(); err != nil {
			log.Fatalf("replay: the %s fleet: %v", f.name, err)
		}
	}
}
