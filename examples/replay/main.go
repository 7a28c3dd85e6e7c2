// Command replay plays an access log against two service instances that share one Redis,
// each with a typed entity cache over a slow database, and reports what the caches did. It
// checks every answer, and exits with 1 if one was never true.
//
//	replay                        a Zipf workload on an embedded Redis
//	replay -log access.txt.gz     one key a line, plain or gzip; "-" is standard input
//	replay -redis 127.0.0.1:6379  on a real Redis
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
)

// config is what the flags say.
type config struct {
	log      string
	redis    string
	accesses int
	keys     int
	latency  time.Duration
	workers  int
	batches  float64
	batch    int
	writes   float64
	local    int
	localTTL time.Duration
}

func main() {
	var c config
	flag.StringVar(&c.log, "log", "", `access log, one key a line, plain or gzip; "-" for standard input; a Zipf workload if empty`)
	flag.StringVar(&c.redis, "redis", "", "address of a Redis; an embedded one if empty")
	flag.IntVar(&c.accesses, "n", 500_000, "accesses of the Zipf workload")
	flag.IntVar(&c.keys, "keys", 50_000, "distinct keys of the Zipf workload")
	flag.DurationVar(&c.latency, "db-latency", 2*time.Millisecond, "how long a query of the database takes")
	flag.IntVar(&c.workers, "workers", 64, "requests that are served at a time")
	flag.Float64Var(&c.batches, "batches", 0.1, "share of accesses that come as batches")
	flag.IntVar(&c.batch, "batch", 20, "keys of a batch")
	flag.Float64Var(&c.writes, "writes", 0.01, "share of requests that change an entity")
	flag.IntVar(&c.local, "local", 5_000, "entries in the local level of each instance")
	flag.DurationVar(&c.localTTL, "local-ttl", 2*time.Second, "how long the local level keeps an entry")
	flag.Parse()
	if err := c.check(flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "replay: %v; see -help\n", err)
		os.Exit(2)
	}
	// The first interrupt ends the log early, with a report; the second the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	r, err := run(ctx, c)
	if err != nil {
		log.Fatal("replay: ", err)
	}
	r.print(os.Stdout)
	if r.violations.Load() > 0 {
		log.Fatalf("replay: %d answers were never true; the first: %v", r.violations.Load(), r.firstViolation)
	}
	if r.failures.Load() > 0 {
		log.Fatalf("replay: %d calls failed; the first: %v", r.failures.Load(), r.firstFailure)
	}
}

// check says what of the flags cannot be.
func (c config) check(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("%q is no flag", args[0])
	case c.accesses < 1 || c.keys < 2 || c.workers < 1 || c.batch < 1 || c.local < 1:
		return errors.New("-n, -workers, -batch and -local must be 1 or more, -keys 2 or more")
	case c.latency < 0 || c.localTTL < 0:
		return errors.New("-db-latency and -local-ttl must not be negative")
	case !(c.batches >= 0 && c.batches <= 1) || !(c.writes >= 0 && c.writes <= 1):
		return errors.New("-batches and -writes are shares, from 0 to 1")
	}
	return nil
}

// replay is one run.
type replay struct {
	config
	server    string
	db        *database
	instances []*instance
	took      time.Duration

	accesses, batched, writes           atomic.Int64
	stale, absent, violations, failures atomic.Int64

	fromLocal, fromJoined, fromRemote, fromLoad, wholeBatch meter

	distinct map[string]struct{} // feed's, and read when that has ended

	mu             sync.Mutex
	firstViolation error // guarded by mu
	firstFailure   error // guarded by mu
}

// request is what one worker serves at a time.
type request struct {
	keys  []string // one, or a batch
	write bool
}

func run(ctx context.Context, c config) (*replay, error) {
	next, closer, err := open(c)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	server, err := demoredis.Open(c.redis)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	r := &replay{config: c, server: server.String(), db: newDatabase(c.latency), distinct: make(map[string]struct{})}
	// A prefix of its own keeps a run clear of what others have left on a shared Redis.
	prefix := fmt.Sprintf("replay-%08x", rand.Uint32())
	for _, name := range []string{"one", "two"} {
		in := newInstance(name, prefix, server, c.local, c.localTTL)
		defer in.close()
		r.instances = append(r.instances, in)
	}

	start := time.Now()
	requests := make(chan request, c.workers)
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() {
			for req := range requests {
				r.serve(req)
			}
		})
	}
	ended := make(chan struct{})
	var progress sync.WaitGroup
	progress.Go(func() { r.progress(os.Stderr, start, ended) })
	err = r.feed(ctx, next, requests)
	close(requests)
	workers.Wait()
	r.took = time.Since(start)
	close(ended)
	progress.Wait()
	if err == nil && len(r.distinct) == 0 {
		err = errors.New("the log has no keys")
	}
	return r, errors.Join(err, r.clean())
}

func open(c config) (source, io.Closer, error) {
	if c.log == "" {
		return zipf(c.accesses, c.keys), io.NopCloser(nil), nil
	}
	return openLog(c.log)
}

// feed turns the log into requests: most are single reads, some a batch of the next keys,
// some change the entity they ask for.
func (r *replay) feed(ctx context.Context, next source, requests chan<- request) error {
	random := rand.New(rand.NewPCG(3, 4))
	for ctx.Err() == nil {
		size := 1
		if random.Float64() < r.config.batches/float64(r.batch) {
			size = r.batch
		}
		var req request
		for len(req.keys) < size {
			key, ok, err := next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			r.distinct[key] = struct{}{}
			req.keys = append(req.keys, key)
		}
		if len(req.keys) == 0 {
			return nil
		}
		req.write = size == 1 && random.Float64() < r.config.writes
		requests <- req
	}
	return nil
}

// serve does on a random instance what a service would do.
func (r *replay) serve(req request) {
	in := r.instances[rand.IntN(len(r.instances))]
	r.accesses.Add(int64(len(req.keys)))
	switch {
	case len(req.keys) > 1:
		r.serveBatch(in, req.keys)
	case req.write && r.db.exists(req.keys[0]):
		r.writes.Add(1)
		r.db.update(req.keys[0])
		if err := in.entities.Delete(context.Background(), in.prefix, req.keys[0]); err != nil {
			r.fail(fmt.Errorf("deleting %q: %w", req.keys[0], err))
		}
	default:
		r.serveOne(in, req.keys[0])
	}
}

func (r *replay) serveOne(in *instance, key string) {
	t := &trace{}
	ctx := context.WithValue(context.Background(), traceKey{}, t)
	_, inLocal := in.local.Get(in.prefix + ":" + key) // a look past the cache, which has no part in its counts
	newest := r.db.version(key)
	start := time.Now()
	e, err := in.entities.Get(ctx, in.prefix, key, r.db.one)
	took := time.Since(start)
	switch {
	case t.loaded.Load():
		r.fromLoad.add(took)
	case t.remote.Load():
		r.fromRemote.add(took)
	case inLocal:
		r.fromLocal.add(took)
	default:
		r.fromJoined.add(took)
	}
	if errors.Is(err, cache.ErrNotFound) {
		r.checkAbsent(key)
	} else if err != nil {
		r.fail(fmt.Errorf("reading %q: %w", key, err))
	} else {
		r.check(key, e, newest)
	}
}

func (r *replay) serveBatch(in *instance, keys []string) {
	r.batched.Add(int64(len(keys)))
	newest := make(map[string]uint64, len(keys))
	for _, key := range keys {
		newest[key] = r.db.version(key)
	}
	start := time.Now()
	found, err := in.entities.MGetWithErr(context.Background(), in.prefix, keys, r.db.many)
	r.wholeBatch.add(time.Since(start))
	if err != nil {
		r.fail(fmt.Errorf("reading a batch: %w", err))
	}
	for key := range newest {
		if e, ok := found[key]; ok {
			r.check(key, e, newest[key])
		} else if err == nil {
			r.checkAbsent(key)
		}
	}
}

// check holds an answer against the database: it must be a version that the key has had,
// and is stale if the key had a newer one when it was asked for.
func (r *replay) check(key string, e Entity, newest uint64) {
	if e.Key != key || e.Version < 1 || e.Version > r.db.version(key) || e.Digest != digest(key, e.Version) || !r.db.exists(key) {
		r.violate(fmt.Errorf("%q was answered with %+v", key, e))
	} else if e.Version < newest {
		r.stale.Add(1)
	}
}

func (r *replay) checkAbsent(key string) {
	r.absent.Add(1)
	if r.db.exists(key) {
		r.violate(fmt.Errorf("%q was said not to exist", key))
	}
}

func (r *replay) violate(err error) {
	r.violations.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.firstViolation == nil {
		r.firstViolation = err
	}
}

// fail notes a call that gave no answer.
func (r *replay) fail(err error) {
	r.failures.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.firstFailure == nil {
		r.firstFailure = err
	}
}

// clean removes the replay's keys, which on a real Redis others might stumble over.
func (r *replay) clean() error {
	ctx := context.Background()
	client, prefix := r.instances[0].client, r.instances[0].prefix
	pipe := client.Pipeline()
	for key := range r.distinct {
		pipe.Del(ctx, prefix+":"+key)
		if pipe.Len() == 1000 {
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("removing the replay's keys: %w", err)
			}
		}
	}
	_, err := pipe.Exec(ctx)
	return err
}
