package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// waits bounds the waits for a Redis that hangs. The bounds are far from what is right and from what
// is wrong, as the machine of a test may be slow.
type waits struct {
	// calls is how long a call of the cache may take, in failing calls of the client, and slack is
	// added to that.
	calls float64
	slack time.Duration
	// hit is how long a hit in the local level may take.
	hit time.Duration
}

var usual = waits{calls: 1.5, slack: 300 * time.Millisecond, hit: 700 * time.Millisecond}

// impatient returns options of a client that waits for half a second, and once more, until a call has
// failed.
func impatient(server *redistest.Process) redis.Options {
	const wait = 500 * time.Millisecond
	return redis.Options{
		Addr: server.Addr(), DialTimeout: wait, ReadTimeout: wait, WriteTimeout: wait, MaxRetries: 1, DialerRetries: 1,
	}
}

// After Redis has hung, a hit that is in doubt asks it again.
func TestHitsAfterRedisHasHung(t *testing.T) {
	t.Parallel()
	server := redistest.NewProcess(t)
	admin := server.Client()
	c := newCache(t, newClient(t, impatient(server)))
	once(t, c, "k", "old")
	server.Pause()
	eventually(t, func() error {
		if s := cache.SyncStateOf(c); s.Ready || !s.InDoubt {
			return fmt.Errorf("the link is not known to be dead: %+v", s)
		}
		return nil
	})
	if got := once(t, c, "k", "another"); got != "old" {
		t.Errorf("reads %q", got)
	}
	server.Resume()
	succeed(t, admin.Del(t.Context(), "k").Err())
	eventually(t, func() error {
		if got := once(t, c, "k", "new"); got != "new" {
			return fmt.Errorf("reads %q", got)
		}
		return nil
	})
}
