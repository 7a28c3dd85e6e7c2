// Package demoredis gives the examples a Redis: the one they are told of, or else an
// embedded one, so that they run with nothing installed.
package demoredis

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Server is a Redis that clients can be made for.
type Server struct {
	Addr     string
	Embedded bool
	stop     func()
}

// tick is how often the embedded Redis, which has no clock of its own, is told that time
// has passed.
const tick = 100 * time.Millisecond

// Open returns the Redis at addr, after asking whether it is there. Without an addr it
// starts an embedded one.
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

// Client returns a client of its own for one service instance; the caller closes it.
func (s *Server) Client() *redis.Client { return redis.NewClient(&redis.Options{Addr: s.Addr}) }

// String names the server for a person.
func (s *Server) String() string {
	if s.Embedded {
		return "an embedded Redis"
	}
	return "the Redis at " + s.Addr
}

// Close ends an embedded server.
func (s *Server) Close() { s.stop() }
