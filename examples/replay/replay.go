package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
)

// maxLoad is how long a query or a change of the database may take, on a slow machine, too.
const maxLoad = 10 * time.Second

// replay is one run of the command.
type replay struct {
	config
	server          string // the Redis, by name
	plain, coherent *fleet
	took            time.Duration
}

// request is what an instance serves at a time.
type request struct {
	instance int
	keys     []string // one, or a batch
	write    bool     // changes the entity instead of reading it
}

// run replays what c says, and shows on p how far it is.
func run(ctx context.Context, c config, p *progress) (_ *replay, err error) {
	in, err := open(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	server, err := demoredis.Open(c.redis)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	client := newClient(server.Addr)
	defer client.Close()

	// Names of its own keep a run apart from everything else on a shared Redis.
	id := fmt.Sprintf("replay-%08x", rand.Uint32())
	r := &replay{
		config: c, server: server.String(),
		plain:    newFleet("plain", id, client, c),
		coherent: newFleet("coherent", id, client, c, cache.WithSyncLocal(true), cache.WithFence(maxLoad), cache.WithLease(maxLoad)),
	}
	defer r.plain.close()
	defer r.coherent.close()
	if err := r.coherent.awaitLink(ctx); err != nil {
		return nil, err
	}

	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	start := time.Now()
	stopProgress := p.start(func() string { return r.status(in.done(), time.Since(start)) })
	err = r.feed(ctx, in)
	r.took = time.Since(start)
	stopProgress()
	if err == nil && in.accesses.Load() == 0 {
		err = errors.New("the log has no keys")
	}
	return r, errors.Join(err, clean(client, in, r.plain, r.coherent))
}

// newClient returns a client with the long timeouts of go-redis. On a slow machine the embedded
// Redis may take its time, and is not broken.
func newClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
}

// feed makes requests of the log and sends each to both fleets, until the log or ctx ends. It
// returns when they have been served.
func (r *replay) feed(ctx context.Context, in *input) error {
	var served sync.WaitGroup
	defer served.Wait()
	plain, coherent := r.serve(&served, r.plain), r.serve(&served, r.coherent)
	defer close(plain)
	defer close(coherent)
	random := rand.New(rand.NewPCG(3, 4))
	for ctx.Err() == nil {
		size := 1
		if random.Float64() < r.batches/float64(r.batch) {
			size = r.batch
		}
		req := request{instance: random.IntN(instances)}
		var err error
		if req.keys, err = in.nextKeys(size); err != nil || len(req.keys) == 0 {
			return err
		}
		req.write = size == 1 && random.Float64() < r.writes
		plain <- req
		coherent <- req
	}
	return nil
}

// serve starts the workers of f, which serve what they get until the queue is closed.
func (r *replay) serve(served *sync.WaitGroup, f *fleet) chan<- request {
	queue := make(chan request, r.workers)
	for range r.workers {
		served.Go(func() {
			for req := range queue {
				f.serve(req)
			}
		})
	}
	return queue
}

// clean removes the keys of both fleets, which would stay on a real Redis for an hour.
func clean(client *redis.Client, in *input, fleets ...*fleet) error {
	ctx := context.Background()
	pipe := client.Pipeline()
	for key := range in.keys {
		for _, f := range fleets {
			pipe.Del(ctx, f.redisKeys(key)...)
		}
		if pipe.Len() >= 1000 {
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("removing the keys of the replay: %w", err)
			}
		}
	}
	_, err := pipe.Exec(ctx)
	return err
}
