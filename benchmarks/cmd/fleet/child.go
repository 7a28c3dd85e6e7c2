package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// childVariable is an environment variable that makes this program a process of nodes. Its value is a
// childConfig.
const childVariable = "JETCACHE_FLEET_NODES"

// childConfig configures a process.
type childConfig struct {
	Addr, Channel string
	Nodes         int
}

// request asks a process to make a change every so often.
type request struct{ Lasts, Every time.Duration }

// result has the durations of the changes.
type result struct {
	Took   []time.Duration
	Failed int
}

const (
	keys = 1000
	// readyWithin is how long the links of a process may take to be up.
	readyWithin = 2 * time.Minute
)

func runChild(config string, in io.Reader, out io.Writer) error {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	nodes := make([]cache.Cache, c.Nodes)
	var starting sync.WaitGroup
	for i := range nodes {
		starting.Go(func() { nodes[i] = newNode(c) })
		if i%20 == 19 {
			starting.Wait()
		}
	}
	starting.Wait()
	if err := waitUntilReady(nodes); err != nil {
		return err
	}
	results, requests := json.NewEncoder(out), json.NewDecoder(in)
	if err := results.Encode(result{}); err != nil {
		return err
	}
	for {
		var q request
		if err := requests.Decode(&q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := results.Encode(change(nodes, q)); err != nil {
			return err
		}
	}
}

func newNode(c childConfig) cache.Cache {
	client := redis.NewClient(&redis.Options{Addr: c.Addr, PoolSize: 4})
	return cache.New(
		cache.WithName("fleet"), cache.WithStatsDisabled(true),
		cache.WithLocal(local.NewOtter(keys, time.Minute)),
		cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
		cache.WithSyncLocal(true), cache.WithSyncChannel(c.Channel),
		cache.WithFence(5*time.Second), cache.WithLease(2*time.Second),
	)
}

func waitUntilReady(nodes []cache.Cache) error {
	for end := time.Now().Add(readyWithin); ; time.Sleep(50 * time.Millisecond) {
		down := 0
		var why error
		for _, n := range nodes {
			if s := cache.SyncStateOf(n); !s.Ready {
				down, why = down+1, s.Err
			}
		}
		if down == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the links of %d nodes of %d are down after %v: %w", down, len(nodes), readyWithin, why)
		}
	}
}

// change makes a change of a random node every so often, whether or not the last one has ended.
func change(nodes []cache.Cache, q request) (r result) {
	var (
		mu      sync.Mutex
		changes sync.WaitGroup
		value   = strings.Repeat("v", 100)
		clock   = time.NewTicker(q.Every)
	)
	defer clock.Stop()
	for end := time.Now().Add(q.Lasts); time.Now().Before(end); {
		<-clock.C
		changes.Go(func() {
			began := time.Now()
			err := nodes[rand.IntN(len(nodes))].Set(context.Background(), fmt.Sprint("key:", rand.IntN(keys)), cache.Value(value))
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.Failed++
			} else {
				r.Took = append(r.Took, took)
			}
		})
	}
	changes.Wait()
	return r
}
