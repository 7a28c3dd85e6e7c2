package remote_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestAutoPipeline(t *testing.T) {
	for name, server := range map[string]func(testing.TB) redistest.Server{"miniredis": redistest.Embedded, "redis": redistest.Real} {
		t.Run(name, func(t *testing.T) {
			if name == "redis" {
				redistest.Real(t)
			}
			remotetest.Run(t, func(t *testing.T) remotetest.Target {
				s := server(t)
				return remotetest.Target{Remote: remote.NewGoRedis(s.Client, remote.WithAutoPipeline()), Advance: s.Advance}
			})
		})
	}
}

func TestAutoPipelineOnACluster(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remotetest.Target {
		m := miniredis.RunT(t)
		cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}})
		t.Cleanup(func() { _ = cluster.Close() })
		return remotetest.Target{Remote: remote.NewGoRedis(cluster, remote.WithAutoPipeline()), Advance: m.FastForward}
	})
}

// roundTrips counts the round trips of a client.
type roundTrips struct{ single, pipelines atomic.Int64 }

func (*roundTrips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.single.Add(1)
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		switch cmds[0].Name() {
		case "hello", "client", "auth", "select": // a new connection
		default:
			r.pipelines.Add(1)
		}
		return next(ctx, cmds)
	}
}

func TestAutoPipelineSharesRoundTrips(t *testing.T) {
	s := redistest.Embedded(t)
	var trips roundTrips
	s.Client.AddHook(&trips)
	r := remote.NewGoRedis(s.Client, remote.WithAutoPipeline())
	const callers, reads = 100, 20
	for i := range callers {
		if err := r.SetEX(ctx, fmt.Sprint("k", i), fmt.Sprint("v", i), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	trips.single.Store(0)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range reads {
				got, err := r.Get(ctx, fmt.Sprint("k", i))
				timed, ttlErr := r.(remote.TTLGetter).GetWithTTL(ctx, fmt.Sprint("k", i))
				if want := fmt.Sprint("v", i); err != nil || ttlErr != nil || got != want || timed.Data != want || timed.TTL <= 0 {
					t.Errorf("k%d is %q, %v and %v, %v", i, got, err, timed, ttlErr)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := trips.single.Load() + trips.pipelines.Load(); n > callers*reads {
		t.Errorf("%d reads took %d round trips", 2*callers*reads, n)
	}
}

func TestAutoPipelineLeavesWithItsContext(t *testing.T) {
	s := redistest.Embedded(t)
	block := make(chan struct{})
	s.Client.AddHook(blocking{block})
	defer close(block)
	r := remote.NewGoRedis(s.Client, remote.WithAutoPipeline())
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := r.Get(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get: %v", err)
	}
	if _, err := r.(remote.TTLGetter).GetWithTTL(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("GetWithTTL: %v", err)
	}
}

// blocking delays pipelines until it is closed.
type blocking struct{ until chan struct{} }

func (blocking) DialHook(next redis.DialHook) redis.DialHook { return next }

func (blocking) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (b blocking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		<-b.until
		return next(ctx, cmds)
	}
}

func TestAutoPipelineWithoutAServer(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	r := remote.NewGoRedis(client, remote.WithAutoPipeline())
	m.Close()
	if got, err := r.Get(ctx, "k"); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("Get: %q, %v", got, err)
	}
	if got, err := r.(remote.TTLGetter).GetWithTTL(ctx, "k"); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("GetWithTTL: %v, %v", got, err)
	}
}

// The pipeliner belongs to the client, so another user of the client may close it.
func TestAutoPipelineThatWasClosed(t *testing.T) {
	s := redistest.Embedded(t)
	r := remote.NewGoRedis(s.Client, remote.WithAutoPipeline())
	auto, err := s.Client.AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	if err := auto.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetEX(ctx, "k", "v", time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(ctx, "k"); err != nil || got != "v" {
		t.Errorf("Get: %q, %v", got, err)
	}
	if got, err := r.(remote.TTLGetter).GetWithTTL(ctx, "k"); err != nil || got.Data != "v" {
		t.Errorf("GetWithTTL: %v, %v", got, err)
	}
}

func TestAutoPipelineOfAClientThatCannot(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{})
	defer func() { _ = ring.Close() }()
	client := redis.NewClient(&redis.Options{})
	_ = client.Close()
	for name, client := range map[string]redis.Cmdable{"ring": ring, "closed": client, "pipeline": client.Pipeline()} {
		text := func() (text string) {
			defer func() { text = fmt.Sprint(recover()) }()
			remote.NewGoRedis(client, remote.WithAutoPipeline())
			return ""
		}()
		if !strings.Contains(text, "WithAutoPipeline") {
			t.Errorf("%s: panicked with %q", name, text)
		}
	}
}

func (refusing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (refusing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (refusing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if cmd.Name() == "mget" {
				cmd.SetErr(crossSlot{})
				err = crossSlot{}
			}
		}
		return err
	}
}

func (crossSlot) Error() string { return "CROSSSLOT Keys in request don't hash to the same slot" }

func (crossSlot) RedisError() {}

func (panicking) DialHook(next redis.DialHook) redis.DialHook { return next }

func (panicking) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (panicking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name == "set" {
			panic("boom")
		}
		return next(ctx, cmds)
	}
}

// A value is never read with the longer lifetime of another value, whatever is written in between,
// and whether or not go-redis keeps the order of the commands.
func TestAutoPipelineReadsTheLifetimeOfItsValue(t *testing.T) {
	s := redistest.Real(t)
	for name, settings := range map[string]*redis.AutoPipelineOptions{
		"default":   nil,
		"unordered": {Unordered: true, MaxConcurrentBatches: 4},
	} {
		t.Run(name, func(t *testing.T) {
			o := *s.Client.Options()
			o.AutoPipelineOptions = settings
			client := redis.NewClient(&o)
			defer func() { _ = client.Close() }()
			r := remote.NewGoRedis(client, remote.WithAutoPipeline())
			lifetimes := map[string]time.Duration{"long": time.Hour, "short": time.Second}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					for value, ttl := range lifetimes {
						if err := s.Client.Set(ctx, "k", value, ttl).Err(); err != nil {
							t.Error(err)
							return
						}
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			for range 2000 {
				got, err := r.(remote.TTLGetter).GetWithTTL(ctx, "k")
				if err != nil && !errors.Is(err, redis.Nil) || got.TTL > lifetimes[got.Data] {
					t.Errorf("%v, %v", got, err)
				}
			}
			close(stop)
			wg.Wait()
		})
	}
}
