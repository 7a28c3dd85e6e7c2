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

// Entity is what the service caches: a record of the database at one of its versions.
type Entity struct {
	Key     string
	Version uint64
	Name    string
	Roles   []string
	Updated time.Time
	Digest  uint64 // of key and version
}

// database stands for the service's database: slow, and the truth. Every key exists, but
// for one in fifty; a key's first version is 1.
type database struct {
	latency time.Duration

	queries atomic.Int64 // round trips
	asked   atomic.Int64 // keys asked for

	mu       sync.RWMutex
	versions map[string]uint64 // guarded by mu: of the keys that have been changed
}

func newDatabase(latency time.Duration) *database {
	return &database{latency: latency, versions: make(map[string]uint64)}
}

func digest(key string, version uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, key, "@", version)
	return h.Sum64()
}

func (db *database) exists(key string) bool { return digest(key, 0)%50 != 0 }

// version returns the newest version of a key.
func (db *database) version(key string) uint64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.versions[key] + 1
}

// update gives a key a new version.
func (db *database) update(key string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.versions[key]++
}

func (db *database) read(key string) Entity {
	v := db.version(key)
	return Entity{
		Key: key, Version: v, Name: "entity " + key, Roles: []string{"reader", "writer"},
		Updated: time.Unix(int64(v), 0).UTC(), Digest: digest(key, v),
	}
}

// one is a query for one key.
func (db *database) one(ctx context.Context, key string) (Entity, error) {
	mark(ctx, func(t *trace) { t.loaded.Store(true) })
	db.queries.Add(1)
	db.asked.Add(1)
	time.Sleep(db.latency)
	if !db.exists(key) {
		return Entity{}, cache.ErrNotFound
	}
	return db.read(key), nil
}

// many is a query for several keys.
func (db *database) many(_ context.Context, keys []string) (map[string]Entity, error) {
	db.queries.Add(1)
	db.asked.Add(int64(len(keys)))
	time.Sleep(db.latency)
	found := make(map[string]Entity, len(keys))
	for _, key := range keys {
		if db.exists(key) {
			found[key] = db.read(key)
		}
	}
	return found, nil
}
