package torture

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// clients are the clients of a process. bus is nil if messages take the way of the data.
type clients struct {
	data, bus redis.UniversalClient
	slow      *slowCalls // of data
}

func clientsOf(c nodeConfig) (cs clients) {
	timeout := redisTimeout
	if c.Timeout > 0 {
		timeout = c.Timeout
	}
	cs.slow = newSlowCalls(doubtTimeout * 4 / 5)
	cs.data = redisClient(c.Data, c.Masters, timeout, defaultRetries)
	if c.Bus != "" {
		cs.bus = redisClient(c.Bus, c.BusMasters, c.BusTimeout, 1)
	}
	cs.data.AddHook(cs.slow)
	return cs
}

// defaultRetries makes a client of go-redis repeat a call up to three times.
const defaultRetries = 0

// redisClient returns a client of one Redis at addr or, if there are masters, of a cluster. It connects
// to the addresses of masters instead of the masters.
func redisClient(addr string, masters map[string]string, timeout time.Duration, retries int) redis.UniversalClient {
	o := redis.UniversalOptions{
		Addrs:       []string{addr},
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
		DialerRetries: 1, MaxRetries: retries, PoolSize: 20,
	}
	if masters == nil {
		return redis.NewClient(o.Simple())
	}
	o.Addrs = slices.Collect(maps.Keys(masters))
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{Timeout: timeout}
		return d.DialContext(ctx, network, masters[addr])
	}
	return redis.NewClusterClient(o.Cluster())
}
