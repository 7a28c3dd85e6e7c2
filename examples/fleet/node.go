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

// This file is the recipe: how a service that runs in many processes sets its cache up, reads
// by it and changes what is cached. What is in the other files is there for the story.

const (
	// prefix begins the keys: example:fleet:user:1, example:fleet:user:2 …
	prefix = "example:fleet:user"
	// maxLoad is how long the slowest query may take, and the slowest transaction.
	maxLoad = 2 * time.Second
)

// service is the service, in one of its processes.
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
			// A Redis that does not answer holds nobody up for long. The defaults of go-redis
			// are three seconds, and three times that again.
			DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second, MaxRetries: 1,
			ContextTimeoutEnabled: true, // nor does it outlast a caller's deadline
		}),
		local: local.NewOtter(10_000, time.Minute),
	}
	s.users = cache.NewT[int, User](cache.New(
		cache.WithName("users"), // the nodes find each other by it
		cache.WithLocal(s.local),
		cache.WithRemote(remote.NewGoRedisV9Adapter(s.client)),
		cache.WithErrNotFound(errNoUser),

		cache.WithSyncLocal(true), // local levels follow what other nodes change
		cache.WithFence(maxLoad),  // what was loaded before a change is not stored after it
		cache.WithLease(maxLoad),  // what several nodes miss, one of them loads

		cache.WithStatsDisabled(true), // or else a table in the log, each minute
	))
	return s
}

// user reads a user.
func (s *service) user(ctx context.Context, id int) (User, error) {
	return s.users.Get(ctx, prefix, id, s.db.user)
}

// rename changes a user: first all caches let go of it, then the database changes, then all
// caches let go of what they may have read meanwhile. It is a matter of one call.
func (s *service) rename(ctx context.Context, id int, name string) error {
	changed := false
	err := s.users.Mutate(ctx, prefix, []int{id}, func(ctx context.Context) error {
		err := s.db.rename(ctx, id, name)
		changed = err == nil
		return err
	})
	if err != nil && changed {
		// It is committed, and what the caches have not been told yet they are told in the
		// background. To report a failure would only make somebody try again.
		log.Printf("user %d is changed, but: %v", id, err)
		return nil
	}
	// This may be a cache.ErrNotFenced: Redis is out of reach, and so nothing was changed. Who
	// would rather change it all the same does so here, and then calls s.users.Delete.
	return err
}

// health is what the operators of a service want to know of its cache.
type health struct {
	Ready        bool   // this node hears what others change
	Nodes        int    // how many others it hears
	Gaps         uint64 // how often it may have missed something
	GapCause     string // the last time
	InDoubt      bool   // since then not all of local has been checked
	FillsRefused uint64 // what was loaded and not stored, as it was changed meanwhile
	Untold       int    // keys that others, or Redis, do not know yet to have changed
}

func (s *service) health() health {
	st := cache.SyncStateOf(s.users.Cache)
	return health{
		Ready: st.Ready, Nodes: st.Nodes, Gaps: st.Gaps, GapCause: st.GapCause, InDoubt: st.InDoubt,
		FillsRefused: st.FillsRefused, Untold: st.Waiting + st.Repairs,
	}
}

// close ends the cache first, which tells the other nodes that this one leaves.
func (s *service) close() error {
	s.users.Close()
	s.local.Close()
	if err := s.client.Close(); !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
