package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// instances is how many instances a fleet has.
const instances = 2

// fleet is a number of service instances that share one Redis and one database.
type fleet struct {
	name      string
	prefix    string // of all keys
	db        *database
	instances []*instance

	reads, writes               atomic.Int64
	stale, violations, failures atomic.Int64
	behind                      atomic.Int64 // of the oldest stale answer, in nanoseconds
	latency                     meter        // of single reads

	mu             sync.Mutex
	firstViolation error // guarded by mu
	firstFailure   error // guarded by mu
}

// instance is one instance of the service: a cache with a local level of its own.
type instance struct {
	store    *local.Otter
	cache    cache.Cache
	entities *cache.T[string, Entity]
	counts   *stats.Stats
}

// newFleet starts a fleet whose caches have these options beside the two levels. Its keys begin
// with id. Call close to stop it.
func newFleet(name, id string, client *redis.Client, c config, options ...cache.Option) *fleet {
	f := &fleet{name: name, prefix: id + ":" + name, db: newDatabase(c.latency)}
	for range instances {
		// The report has the counts, so a log of them every minute is not needed.
		counts := stats.NewStatsLogger(name, stats.WithStatsInterval(24*time.Hour)).(*stats.Stats)
		in := &instance{store: local.NewOtter(c.local, c.localTTL), counts: counts}
		in.cache = cache.New(append([]cache.Option{
			cache.WithName(f.prefix),
			cache.WithLocal(in.store),
			cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
			cache.WithStatsHandler(counts),
		}, options...)...)
		in.entities = cache.NewT[string, Entity](in.cache)
		f.instances = append(f.instances, in)
	}
	return f
}

// close stops the fleet.
func (f *fleet) close() {
	for _, in := range f.instances {
		in.cache.Close()
		in.counts.Close()
		in.store.Close()
	}
}

// awaitLink waits until all instances hear each other's changes.
func (f *fleet) awaitLink(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxLoad)
	defer cancel()
	for _, in := range f.instances {
		for {
			st := cache.SyncStateOf(in.cache)
			if st.Ready && st.Nodes >= instances-1 {
				break
			}
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("waiting until the instances hear each other: %w", errors.Join(ctx.Err(), st.Err))
			}
		}
	}
	return nil
}

// redisKeys returns what Redis may hold for a key: the value, the fence and the lease.
func (f *fleet) redisKeys(key string) []string {
	key = f.prefix + ":" + key
	keys := []string{key}
	for _, beside := range []func(string) (string, bool){remote.FenceKey, remote.LeaseKey} {
		if k, ok := beside(key); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// serve does what the service does for a request.
func (f *fleet) serve(req request) {
	in := f.instances[req.instance]
	switch {
	case len(req.keys) > 1:
		f.readMany(in, req.keys)
	case req.write && f.db.exists(req.keys[0]):
		f.change(in, req.keys[0])
	default:
		f.readOne(in, req.keys[0])
	}
}

func (f *fleet) change(in *instance, key string) {
	f.writes.Add(1)
	err := in.entities.Mutate(context.Background(), f.prefix, []string{key}, func(context.Context) error {
		f.db.update(key)
		return nil
	})
	if err != nil {
		f.fail(fmt.Errorf("changing %q: %w", key, err))
	}
}

func (f *fleet) readOne(in *instance, key string) {
	f.reads.Add(1)
	newest := f.db.version(key)
	start := time.Now()
	e, err := in.entities.Get(context.Background(), f.prefix, key, f.db.one)
	f.latency.add(time.Since(start))
	switch {
	case errors.Is(err, cache.ErrNotFound):
		f.checkAbsent(key)
	case err != nil:
		f.fail(fmt.Errorf("reading %q: %w", key, err))
	default:
		f.check(key, e, newest, start)
	}
}

func (f *fleet) readMany(in *instance, keys []string) {
	f.reads.Add(int64(len(keys)))
	newest := make(map[string]int, len(keys))
	for _, key := range keys {
		newest[key] = f.db.version(key)
	}
	start := time.Now()
	found, err := in.entities.MGetWithErr(context.Background(), f.prefix, keys, f.db.many)
	if err != nil {
		f.fail(fmt.Errorf("reading a batch: %w", err))
	}
	for key := range newest {
		if e, ok := found[key]; ok {
			f.check(key, e, newest[key], start)
		} else if err == nil {
			f.checkAbsent(key)
		}
	}
}

// check compares an answer with the database. It must be a version that the key has had. It is
// stale if the database had a newer version when the read started.
func (f *fleet) check(key string, e Entity, newest int, start time.Time) {
	switch {
	case e.Key != key || e.Version < 1 || e.Version > f.db.version(key) || e.Digest != digest(key, e.Version) || !f.db.exists(key):
		f.violate(fmt.Errorf("the answer for %q was %+v", key, e))
	case e.Version < newest:
		f.stale.Add(1)
		behind := int64(start.Sub(f.db.replaced(key, e.Version)))
		for {
			if old := f.behind.Load(); behind <= old || f.behind.CompareAndSwap(old, behind) {
				break
			}
		}
	}
}

func (f *fleet) checkAbsent(key string) {
	if f.db.exists(key) {
		f.violate(fmt.Errorf("the answer for %q was that it does not exist", key))
	}
}

// violate counts an answer that was never true.
func (f *fleet) violate(err error) {
	f.violations.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.firstViolation == nil {
		f.firstViolation = err
	}
}

// fail counts a call that returned an error.
func (f *fleet) fail(err error) {
	f.failures.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.firstFailure == nil {
		f.firstFailure = err
	}
}

// trouble returns an error if an answer was never true or a call failed.
func (f *fleet) trouble() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.firstViolation != nil:
		return fmt.Errorf("%d answers were never true; the first: %w", f.violations.Load(), f.firstViolation)
	case f.firstFailure != nil:
		return fmt.Errorf("%d calls failed; the first: %w", f.failures.Load(), f.firstFailure)
	}
	return nil
}
