package benchmarks

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// This file is the only one that names what jetcache-go has beyond the API of the original.

// newOtter returns a local.Otter.
func newOtter(size int, ttl time.Duration) closingLocal { return local.NewOtter(size, ttl) }

// closingLocal is a local store that can be closed.
type closingLocal interface {
	local.Local
	Close()
}

// shared lets T return entities as the local store keeps them.
func shared() cache.Option { return cache.WithSharedValues[entity]() }

// cloned lets T return clones of what the local store keeps.
func cloned() cache.Option { return cache.WithClone(entity.clone) }

// newPipelining returns a remote that sends what is asked for at about the same time
// together.
func newPipelining(client redis.Cmdable) remote.Remote {
	return remote.NewGoRedis(client, remote.WithAutoPipeline())
}

// newWithoutTTL returns a remote that does not read what remains of a key's lifetime.
func newWithoutTTL(client redis.Cmdable) remote.Remote {
	return remote.NewGoRedis(client, remote.WithoutTTL())
}

// writeBatch stores values in one pipeline.
func writeBatch(users *cache.T[int64, entity], values map[int64]entity) error {
	return users.MSet(context.Background(), keyPrefix, values)
}

// deleteBatch removes what writeBatch stored.
func deleteBatch(users *cache.T[int64, entity], ids []int64) error {
	return users.MDelete(context.Background(), keyPrefix, ids)
}
