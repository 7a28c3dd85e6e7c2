package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// Entity is what the service caches: a record of the database in one of its versions.
type Entity struct {
	Key     string
	Version int
	Name    string
	Roles   []string
	Updated time.Time
	Digest  uint64 // of key and version
}

// database stands for the database of a service. It is slow, and it has the truth. Most keys
// exist, and one in fifty does not. The first version of a key is 1.
type database struct {
	latency time.Duration // of a query and of a change

	queries atomic.Int64
	loaded  atomic.Int64 // keys in the queries

	mu      sync.RWMutex
	changes map[string][]time.Time // guarded by mu: when a key got its version 2, 3 and so on
}

func newDatabase(latency time.Duration) *database {
	return &database{latency: latency, changes: make(map[string][]time.Time)}
}

func digest(key string, version int) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, key, "@", version)
	return h.Sum64()
}

func (db *database) exists(key string) bool { return digest(key, 0)%50 != 0 }

// version returns the newest version of a key. It takes no time: it is for the check of answers.
func (db *database) version(key string) int {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return len(db.changes[key]) + 1
}

// replaced returns when a version of a key was replaced by the next one.
func (db *database) replaced(key string, version int) time.Time {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.changes[key][version-1]
}

// update gives a key its next version.
func (db *database) update(key string) {
	time.Sleep(db.latency)
	db.mu.Lock()
	defer db.mu.Unlock()
	db.changes[key] = append(db.changes[key], time.Now())
}

func (db *database) read(key string) Entity {
	v := db.version(key)
	return Entity{
		Key: key, Version: v, Name: "entity " + key, Roles: []string{"reader", "writer"},
		Updated: time.Unix(int64(v), 0).UTC(), Digest: digest(key, v),
	}
}

// one queries one key.
func (db *database) one(_ context.Context, key string) (Entity, error) {
	db.queries.Add(1)
	db.loaded.Add(1)
	time.Sleep(db.latency)
	if !db.exists(key) {
		return Entity{}, cache.ErrNotFound
	}
	return db.read(key), nil
}

// many queries several keys at once.
func (db *database) many(_ context.Context, keys []string) (map[string]Entity, error) {
	db.queries.Add(1)
	db.loaded.Add(int64(len(keys)))
	time.Sleep(db.latency)
	found := make(map[string]Entity, len(keys))
	for _, key := range keys {
		if db.exists(key) {
			found[key] = db.read(key)
		}
	}
	return found, nil
}
