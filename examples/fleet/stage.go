package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// The users of the story.
const (
	ada   = 1
	grace = 2
)

// patience is how long the story waits for something that usually takes milliseconds.
const patience = 20 * time.Second

// story is what the parts of the story work with.
type story struct {
	dir     string
	db      *database
	server  *demoredis.Server
	client  *redis.Client
	redis   *cache.T[int, User] // without a local level, to look at what Redis has
	line    *faultproxy.Proxy   // the connection between node C and Redis
	a, b, c *node               // nil if the node is not running
}

// tell starts everything, runs the parts of the story, and cleans up.
func tell(ctx context.Context, addr string) (err error) {
	s := &story{}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.begin(ctx, addr); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		s.readTogether, s.update, s.overlap, s.cut, s.crash, s.agree,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin starts Redis, the database and the nodes.
func (s *story) begin(ctx context.Context, addr string) (err error) {
	if s.dir, err = os.MkdirTemp("", "fleet-"); err != nil {
		return err
	}
	s.db = openDatabase(s.dir, "story")
	for _, u := range []User{{ada, 1, "Ada"}, {grace, 1, "Grace"}} {
		if err := s.db.insert(u); err != nil {
			return err
		}
	}
	if s.server, err = demoredis.Open(addr); err != nil {
		return err
	}
	s.client = s.server.Client()
	if err := s.clear(ctx); err != nil { // an earlier run may have left users
		return err
	}
	s.redis = cache.NewT[int, User](cache.New(
		cache.WithName("users"), cache.WithRemote(remote.NewGoRedisV9Adapter(s.client)), cache.WithStatsDisabled(true),
	))
	if s.line, err = faultproxy.New(s.server.Addr); err != nil {
		return err
	}
	if s.a, err = startNode(ctx, "A", s.server.Addr, s.dir); err != nil {
		return err
	}
	if s.b, err = startNode(ctx, "B", s.server.Addr, s.dir); err != nil {
		return err
	}
	if s.c, err = startNode(ctx, "C", s.line.Addr(), s.dir); err != nil {
		return err
	}
	say("Three processes, the nodes A, B and C, have a local level each. They share %s and a", s.server)
	say("database that takes %s for a query or a change. Node C reaches Redis through a proxy.", latency)
	for _, n := range []*node{s.a, s.b, s.c} {
		if _, err := await(ctx, n, "to hear the other two", func(h health) bool { return h.Ready && h.Nodes >= 2 }); err != nil {
			return err
		}
	}
	return nil
}

// end stops what begin has started.
func (s *story) end() error {
	var errs []error
	for _, n := range []*node{s.a, s.b, s.c} {
		if n != nil {
			errs = append(errs, n.stop())
		}
	}
	if s.line != nil {
		errs = append(errs, s.line.Close())
	}
	if s.redis != nil {
		s.redis.Close()
	}
	if s.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		errs = append(errs, s.clear(ctx), s.client.Close())
	}
	if s.server != nil {
		s.server.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// clear removes the users, their fences and their leases from Redis.
func (s *story) clear(ctx context.Context) error {
	for _, id := range []int{ada, grace} {
		key := fmt.Sprintf("%s:%d", prefix, id)
		if err := s.client.Del(ctx, key, "{"+key+"}#f", "{"+key+"}#l").Err(); err != nil {
			return err
		}
	}
	return nil
}
