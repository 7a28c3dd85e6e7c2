package torture

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// slowCalls notices the calls of a client that take long: a node that hears nothing for
// WithDoubtTimeout answers from its local level, although no call has failed yet. It is a redis.Hook.
type slowCalls struct {
	limit time.Duration // a call is slow if it takes longer

	mu      sync.Mutex
	n       uint64               // guarded by mu: numbers the calls
	running map[uint64]time.Time // guarded by mu: when they began
	slow    uint64               // guarded by mu: how many slow ones have ended
}

func newSlowCalls(limit time.Duration) *slowCalls {
	return &slowCalls{limit: limit, running: make(map[uint64]time.Time)}
}

// begin notes a call that begins; the caller calls end when it has ended.
func (s *slowCalls) begin() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	n := s.n
	s.running[n] = time.Now()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if time.Since(s.running[n]) >= s.limit {
			s.slow++
		}
		delete(s.running, n)
	}
}

// ended returns how many slow calls have ended.
func (s *slowCalls) ended() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slow
}

// since reports whether a slow call is running, or has ended since there were so many.
func (s *slowCalls) since(ended uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, began := range s.running {
		if time.Since(began) >= s.limit {
			return true
		}
	}
	return s.slow != ended
}

func (*slowCalls) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (s *slowCalls) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		defer s.begin()()
		return next(ctx, cmd)
	}
}

func (s *slowCalls) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		defer s.begin()()
		return next(ctx, cmds)
	}
}

func TestSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowCalls(time.Second)
		before := s.ended()
		check := func(what string, want bool) {
			t.Helper()
			if got := s.since(before); got != want {
				t.Errorf("%s: slow is %v", what, got)
			}
		}
		end := s.begin()
		time.Sleep(time.Second - 1)
		check("a call that may still be in time", false)
		time.Sleep(time.Nanosecond)
		check("a call that takes long", true)
		end()
		check("a call that took long", true)
		before = s.ended()
		check("after that", false)
		s.begin()()
		check("a quick call", false)
	})
}
