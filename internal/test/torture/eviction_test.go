package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// evictions removes keys from Redis, as Redis does when its memory is full: values, fences, leases,
// and the token of the channel. The judge knows which fences are gone.
type evictions struct {
	f      *fleet
	client *redis.Client
	fences atomic.Uint64 // the number of evicted fences
	closed atomic.Uint64 // of these, the closed ones
	others atomic.Uint64 // the number of other evicted keys
}

func newEvictions(f *fleet) *evictions { return &evictions{f: f, client: f.redis.Client()} }

// run evicts keys until stop is closed. Most of them are hot.
func (e *evictions) run(stop <-chan struct{}) {
	for pause(stop, rand.N(10*time.Millisecond)) {
		for _, key := range someKeys(true, e.f.mix.hot) {
			name := rowKey(key)
			switch rand.IntN(8) {
			default:
				e.fence(key)
			case 0:
				e.other(name)
			case 1:
				lease, _ := remote.LeaseKey(name)
				e.other(lease)
			}
		}
		if rand.IntN(200) == 0 {
			e.other("{" + channel + "}#seq")
		}
	}
}

func rowKey(key int) string { return fmt.Sprint(prefix, ":", key) }

// other evicts a key that is no fence. If Redis does not answer, it is not evicted, or it is.
func (e *evictions) other(key string) {
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	if n, err := e.client.Del(ctx, key).Result(); err == nil {
		e.others.Add(uint64(n))
	}
}

// fence evicts the fence of a key, and reports whether it was a closed one.
func (e *evictions) fence(key int) (closed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	fence, _ := remote.FenceKey(rowKey(key))
	was, err := e.client.GetDel(ctx, fence).Result()
	if err == redis.Nil {
		return false
	}
	e.f.judge.evicted(key, e.f.now()) // also after an error: it may be gone
	if err != nil {
		return false
	}
	e.fences.Add(1)
	closed = strings.HasPrefix(was, "!")
	if closed {
		e.closed.Add(1)
	}
	return closed
}

// evictDuring evicts some fences while the function of some Mutates runs. opened returns the keys
// whose closed fences were evicted then.
func (f *fleet) evictDuring(q request) (opened func() []int) {
	if f.evictions == nil || q.How != mutates || rand.IntN(3) > 0 {
		return func() []int { return nil }
	}
	var mu sync.Mutex
	var keys []int
	f.database.before(q.Update, func() {
		for _, key := range q.Keys {
			if f.evictions.fence(key) {
				mu.Lock()
				keys = append(keys, key)
				mu.Unlock()
			}
		}
	})
	return func() []int {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(keys)
	}
}
