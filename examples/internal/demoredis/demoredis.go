// Package demoredis gives the examples a Redis: the one that the user names, or else an
// embedded one. So the examples run on a machine without Redis.
package demoredis

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Server is a Redis for an example. Its methods may be called from any goroutine.
type Server struct {
	Addr     string
	Embedded bool
	stop     func()
}

// tick is how often Open advances the clock of the embedded Redis, which does not run by
// itself.
const tick = 100 * time.Millisecond

// Open returns the Redis at addr, or an error if it does not answer. If addr is empty, Open
// starts an embedded Redis, which runs until Close.
func Open(addr string) (*Server, error) {
	if addr != "" {
		s := &Server{Addr: addr, stop: func() {}}
		client := s.Client()
		defer client.Close()
		if err := client.Ping(context.Background()).Err(); err != nil {
			return nil, fmt.Errorf("no Redis at %s: %w", addr, err)
		}
		return s, nil
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("starting the embedded Redis: %w", err)
	}
	clock := time.NewTicker(tick)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-clock.C:
				m.FastForward(tick)
			case <-done:
				return
			}
		}
	}()
	return &Server{Addr: m.Addr(), Embedded: true, stop: func() {
		clock.Stop()
		close(done)
		m.Close()
	}}, nil
}

// Client returns a new client of the server, which the caller closes.
func (s *Server) Client() *redis.Client { return NewClient(s.Addr) }

// NewClient returns a client of the Redis at addr. It has the timeouts that the README
// recommends and explains.
func NewClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                  addr,
		ContextTimeoutEnabled: true,
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           500 * time.Millisecond,
		MaxRetries:            1,
	})
}

// String names the server in the output of an example.
func (s *Server) String() string {
	if s.Embedded {
		return "an embedded Redis"
	}
	return "the Redis at " + s.Addr
}

// Close ends an embedded server. A server that Open found is left as it is.
func (s *Server) Close() { s.stop() }
