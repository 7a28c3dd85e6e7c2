package resilience

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// deadline is how long a caller waits at most.
const deadline = 800 * time.Millisecond

// service is a cache with its two levels and its database.
type service struct {
	redis  *redisServer
	client *redis.Client
	db     *database
	rows   *cache.T[int, string]
	next   atomic.Int64 // numbers the calls
	base   int          // goroutines before the trouble
}

// call is a kind of call, made by each caller with ids of its own.
type call struct {
	name  string
	stale int // how many ids with stale values each call reads
	// make makes call n, and returns what the caller sees.
	make func(ctx context.Context, s *service, n int) string
}

const (
	prefix = "row"
	batch  = 5         // how many ids of each kind a batch has
	cold   = 1_000_000 // ids from here on have never been read
	hot    = 2_000_000 // 64 ids from here on are in the local level
)

// calls are the calls of the table, in its order.
var calls = []call{
	{name: "local hit", make: func(ctx context.Context, s *service, n int) string { return s.get(ctx, hot+n%64) }},
	{name: "stale hit", stale: 1, make: func(ctx context.Context, s *service, n int) string { return s.get(ctx, n) }},
	{name: "cold miss", make: func(ctx context.Context, s *service, n int) string { return s.get(ctx, cold+n) }},
	{name: "`MGet` of 5 stale, 5 cold", stale: batch, make: mget5and5},
	{name: "`Set`", make: func(ctx context.Context, s *service, n int) string {
		return done(ctx, s.rows.Set(ctx, prefix, cold+n, "2 by Set"))
	}},
	{name: "`Delete`", make: func(ctx context.Context, s *service, n int) string {
		return done(ctx, s.rows.Delete(ctx, prefix, cold+n))
	}},
}

func (s *service) get(ctx context.Context, id int) string {
	row, err := s.rows.Get(ctx, prefix, id, s.db.row)
	switch {
	case err != nil:
		return nameOf(ctx, err)
	case strings.HasPrefix(row, "1 ") && id < cold:
		return "stale value"
	}
	return "value"
}

func mget5and5(ctx context.Context, s *service, n int) string {
	var ids []int
	for i := range batch {
		ids = append(ids, batch*n+i, cold+batch*n+i)
	}
	rows, err := s.rows.MGetWithErr(ctx, prefix, ids, s.db.rows)
	stale, values := 0, 0
	for _, row := range rows {
		if strings.HasPrefix(row, "1 ") {
			stale++
		} else {
			values++
		}
	}
	var parts []string
	if stale > 0 {
		parts = append(parts, fmt.Sprint(stale, " stale"))
	}
	if values > 0 {
		parts = append(parts, fmt.Sprint(values, " values"))
	}
	if err != nil {
		parts = append(parts, nameOf(ctx, err))
	}
	return strings.Join(parts, ", ")
}

func done(ctx context.Context, err error) string {
	if err != nil {
		return nameOf(ctx, err)
	}
	return "ok"
}

// timeout is a context.DeadlineExceeded, or what a client of Redis calls one. Which of them a caller gets
// when two end at about the same time is a matter of chance.
const timeout = "timeout"

// nameOf returns the name of an error of a call with ctx. An error of a batch may have several.
func nameOf(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return timeout
	}
	var names []string
	if panicked := (*cache.PanicError)(nil); errors.As(err, &panicked) {
		names = append(names, "`*PanicError`")
	}
	if errors.Is(err, cache.ErrLoadTimeout) {
		names = append(names, "`ErrLoadTimeout`")
	}
	if errors.Is(err, errDatabase) {
		names = append(names, "the database's error")
	}
	if name := nameOfRedis(err); name != "" {
		names = append(names, name)
	}
	if len(names) == 0 {
		return err.Error()
	}
	return strings.Join(names, ", ")
}

// nameOfRedis returns the name of the failure of Redis in err, "" if there is none.
func nameOfRedis(err error) string {
	text := err.Error()
	for _, reply := range []string{"LOADING", "READONLY", "OOM", "NOAUTH", "CLUSTERDOWN"} {
		if strings.Contains(text, reply+" ") {
			return "`" + reply + "`"
		}
	}
	var network net.Error
	switch {
	case errors.Is(err, cache.ErrRemoteUnavailable):
		return "`ErrRemoteUnavailable`"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection lost"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return timeout
	}
	return ""
}

// life is the TTL of the values that are stale later.
const life = 500 * time.Millisecond

// newService returns a service whose Redis and database are well. stale ids have stale values if the
// options keep them; in any case these have expired.
func newService(t testing.TB, tr *trouble, stale int, opts ...cache.Option) *service {
	t.Helper()
	s := &service{redis: newRedisServer(t, tr.real), db: &database{released: make(chan struct{})}}
	client := redis.NewClient(&redis.Options{
		Addr:                  s.redis.proxy.Addr(),
		ContextTimeoutEnabled: true,
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           500 * time.Millisecond,
		MaxRetries:            1,
	})
	store := local.NewOtter(200_000, time.Hour)
	c := cache.New(append([]cache.Option{
		cache.WithLocal(store), cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithStatsDisabled(true),
	}, opts...)...)
	t.Cleanup(func() {
		close(s.db.released)
		c.Close()
		store.Close()
		s.redis.check(client.Close())
	})
	s.client, s.rows = client, cache.NewT[int, string](c)
	s.db.version.Store(1)
	fill(t, s, store, stale, opts)
	s.db.version.Store(2)
	return s
}

// fill fills the levels with the values from before the trouble. It uses a cache that waits for as long as
// it takes, so that no breaker knows of a machine that is busy.
func fill(t testing.TB, s *service, store local.Local, stale int, opts []cache.Option) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.redis.proxy.Addr(), ReadTimeout: time.Minute})
	defer func() { s.redis.check(client.Close()) }()
	c := cache.New(append([]cache.Option{
		cache.WithLocal(store), cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithStatsDisabled(true),
		cache.WithRemoteTimeout(0), cache.WithRemoteBreaker(cache.Breaker{MinCalls: 1 << 30}), cache.WithLoadTimeout(0),
	}, opts...)...)
	defer c.Close()
	rows := cache.NewT[int, string](c)
	load := func(first, n int, ttl time.Duration) {
		ids := make([]int, n)
		for i := range ids {
			ids[i] = first + i
		}
		if found, err := rows.MFetch(context.Background(), prefix, ids, s.db.rows, cache.TTL(ttl)); len(found) != n || err != nil {
			t.Fatalf("loading %d rows: %d, %v", n, len(found), err)
		}
	}
	load(hot, 64, time.Hour)
	for first := 0; first < stale; first += part {
		load(first, min(part, stale-first), life)
	}
	if stale > 0 {
		s.redis.pass(life + life/5)
	}
}

// part is how many rows are loaded at a time.
const part = 500

func TestMain(m *testing.M) {
	logger.SetDefaultLogger(silent{})
	logging.Disable()
	flag.Parse()
	// The cells wait most of the time.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	m.Run()
}

// silent is a logger that drops everything.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
