package main

import (
	"context"
	"errors"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// This file is the part to copy. It shows how a service that runs in many processes sets up its
// cache, reads through it, and changes the data that is cached.

const (
	// prefix begins all keys: example:fleet:user:1, example:fleet:user:2 and so on.
	prefix = "example:fleet:user"
	// maxLoad is how long the slowest query and the slowest transaction may take.
	maxLoad = 2 * time.Second
)

// service is one process of the service.
type service struct {
	db     *database
	client *redis.Client
	local  *local.Otter
	users  *cache.T[int, User]
}

func newService(addr string, db *database) *service {
	s := &service{
		db: db,
		client: redis.NewClient(&redis.Options{
			Addr: addr,
			// With these, a Redis that does not answer delays a call by seconds at most. With the
			// defaults of go-redis it would be a minute; see the README.
			ContextTimeoutEnabled: true, // a call also ends with its caller's ctx
			DialTimeout:           500 * time.Millisecond,
			DialerRetries:         1,
			ReadTimeout:           500 * time.Millisecond, // and so the WriteTimeout
			MaxRetries:            1,
		}),
		local: local.NewOtter(10_000, time.Minute),
	}
	s.users = cache.NewT[int, User](cache.New(
		cache.WithName("users"), // the same on all nodes, as it names their channel
		cache.WithLocal(s.local),
		cache.WithRemote(remote.NewGoRedisV9Adapter(s.client)),
		cache.WithErrNotFound(errNoUser),

		cache.WithSyncLocal(true), // drop from the local level what other nodes change
		cache.WithFence(maxLoad),  // do not store what was loaded before a change
		cache.WithLease(maxLoad),  // load a key on one node when several nodes miss it

		cache.WithStatsDisabled(true), // the demonstration needs no statistics in the log
	))
	return s
}

// user returns one user.
func (s *service) user(ctx context.Context, id int) (User, error) {
	return s.users.Get(ctx, prefix, id, s.db.user)
}

// rename changes the name of a user. Mutate removes the user from all caches, changes the
// database by the function, and removes the user again. Between the two removals no node stores
// what it loads.
func (s *service) rename(ctx context.Context, id int, name string) error {
	changed := false
	err := s.users.Mutate(ctx, prefix, []int{id}, func(ctx context.Context) error {
		err := s.db.rename(ctx, id, name)
		changed = err == nil
		return err
	})
	if err != nil && changed {
		// The transaction is committed, so a retry by the caller would be wrong. The cache
		// repeats the second removal in the background.
		log.Printf("user %d is changed, but the second removal failed: %v", id, err)
		return nil
	}
	// A cache.ErrNotFenced says that Redis did not answer, and that the database was not changed.
	// A service that prefers to change the database even then does so here, and calls
	// s.users.Delete afterwards.
	return err
}

// health is what an operator of the service wants to know about its cache.
type health struct {
	Ready        bool   // this node receives the messages of the others
	Nodes        int    // how many other nodes it hears
	Gaps         uint64 // how often it may have missed messages
	GapCause     string // why, the last time
	InDoubt      bool   // local entries from before the last gap have not all been checked
	FillsRefused uint64 // loaded values that were not stored, because the key had been changed
	Untold       int    // changed keys that other nodes, or Redis, do not know about yet
}

func (s *service) health() health {
	st := cache.SyncStateOf(s.users.Cache)
	return health{
		Ready: st.Ready, Nodes: st.Nodes, Gaps: st.Gaps, GapCause: st.GapCause, InDoubt: st.InDoubt,
		FillsRefused: st.FillsRefused, Untold: st.Waiting + st.Repairs,
	}
}

// close stops the cache first, so that it can tell the other nodes that this one leaves.
func (s *service) close() error {
	s.users.Close()
	s.local.Close()
	if err := s.client.Close(); !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
