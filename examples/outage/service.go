package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

const (
	callers   = 16
	keys      = 200
	patience  = 200 * time.Millisecond // of a caller
	ttl       = 2 * time.Second
	queryTime = 20 * time.Millisecond
)

// What the database does with a query.

func answer(ctx context.Context) error { return sleep(ctx, queryTime) }

func takeLong(ctx context.Context) error { return sleep(ctx, 2*time.Second) }

var errDown = errors.New("the database is down")

func fail(context.Context) error { return errDown }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// row is what the callers read.
type row struct {
	ID     int
	Loaded time.Time
}

// service is a cache with a Redis and a database of its own, and its callers.
type service struct {
	name   string
	rows   *cache.T[int, row]
	proxy  *faultproxy.Proxy // to its Redis
	closes []func()          // in the order of opening

	query   atomic.Pointer[func(ctx context.Context) error]
	callers sync.WaitGroup

	mu                           sync.Mutex
	now                          tally // guarded by mu: of this second
	asked, answered, stale, most int   // guarded by mu: since the beginning; most loads in a second
}

// tally counts what callers saw.
type tally struct {
	stale, errors, loads int
	took                 []time.Duration
}

// open starts a Redis and a service on it.
func open(name string, opts ...cache.Option) (*service, error) {
	s := &service{name: name}
	server, err := demoredis.Open("")
	if err != nil {
		return nil, err
	}
	s.closes = append(s.closes, server.Close)
	if s.proxy, err = faultproxy.New(server.Addr); err != nil {
		s.close()
		return nil, err
	}
	client := demoredis.NewClient(s.proxy.Addr())
	store := local.NewOtter(10_000, time.Minute)
	c := cache.New(append([]cache.Option{
		cache.WithLocal(store),
		cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
		cache.WithRemoteExpiry(ttl),
		cache.WithStatsDisabled(true),
		cache.WithLogger(slog.New(slog.DiscardHandler)), // an option of opts wins
	}, opts...)...)
	s.closes = append(s.closes, func() { _ = s.proxy.Close() }, store.Close, func() { closeClient(client) }, c.Close)
	s.rows = cache.NewT[int, row](c)
	return s, nil
}

func closeClient(client *redis.Client) { _ = client.Close() }

// close ends what open has started, last things first. With the proxy, the calls that hang have an end.
func (s *service) close() {
	for _, end := range slices.Backward(s.closes) {
		end()
	}
}

// begin makes Redis and the database do what the scene says.
func (s *service) begin(next scene) {
	s.query.Store(&next.query)
	if next.redis == nil {
		s.proxy.Heal()
		return
	}
	next.redis(s.proxy)
}

// start starts the callers, which call until ctx ends.
func (s *service) start(ctx context.Context) {
	for range callers {
		s.callers.Go(func() {
			for ctx.Err() == nil {
				s.call()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// call reads a row and counts what came.
func (s *service) call() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	got, err := s.rows.Get(ctx, "row", rand.IntN(keys), s.load)
	took := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.took = append(s.now.took, took)
	switch {
	case err != nil:
		s.now.errors++
	case began.Sub(got.Loaded) > ttl+queryTime:
		s.now.stale++
	}
}

// load is the loader.
func (s *service) load(ctx context.Context, id int) (row, error) {
	s.mu.Lock()
	s.now.loads++
	s.mu.Unlock()
	if err := (*s.query.Load())(ctx); err != nil {
		return row{}, err
	}
	return row{id, time.Now()}, nil
}

// second returns what the callers saw in the last second.
func (s *service) second() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.now
	s.now = tally{}
	asked := len(t.took)
	s.asked += asked
	s.answered += asked - t.errors
	s.stale += t.stale
	s.most = max(s.most, t.loads)
	if asked == 0 {
		return fmt.Sprintf("%5d %3s %7s %6s %6s %7d", 0, "-", "-", "-", "-", t.loads)
	}
	slices.Sort(t.took)
	return fmt.Sprintf("%5d %3d %7d %6d %6d %7d", asked, 100*(asked-t.errors)/asked, t.stale, t.errors,
		t.took[asked*99/100].Milliseconds(), t.loads)
}

// summary returns what the callers saw in all.
func (s *service) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%-15s %d calls, %.1f %% of them answered, %d with a stale value; %d loads a second at most",
		s.name+":", s.asked, 100*float64(s.answered)/float64(max(s.asked, 1)), s.stale, s.most)
}

// breakers is a slog.Handler that learns from the log which breakers are open. It drops the rest.
type breakers struct{ reads, writes atomic.Bool }

// Enabled, Handle, WithAttrs and WithGroup make it a slog.Handler.

func (*breakers) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (b *breakers) Handle(_ context.Context, r slog.Record) error {
	for side, open := range map[string]*atomic.Bool{"reads": &b.reads, "writes": &b.writes} {
		if _, change, ok := strings.Cut(r.Message, "the breaker of the remote's "+side+" has "); ok {
			open.Store(strings.HasPrefix(change, "opened"))
		}
	}
	return nil
}

func (b *breakers) WithAttrs([]slog.Attr) slog.Handler { return b }
func (b *breakers) WithGroup(string) slog.Handler      { return b }

// String says which breakers are open.
func (b *breakers) String() string {
	switch reads, writes := b.reads.Load(), b.writes.Load(); {
	case reads && writes:
		return "open"
	case reads:
		return "reads open"
	case writes:
		return "writes open"
	}
	return "closed"
}
