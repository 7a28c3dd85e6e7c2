package faults

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// A fence that Mutate has closed is evicted while fn runs. A load may then store what is old, so the
// caller must know.
func TestMutateSaysThatItsFenceWasEvicted(t *testing.T) {
	server := redistest.NewProcess(t)
	admin := server.Client()
	c := newCache(t, newClient(t, redis.Options{Addr: server.Addr()}))
	keys := []string{"a", "b", "c"}
	succeed(t, cache.Mutate(t.Context(), c, keys, func(context.Context) error { return nil }))
	err := cache.Mutate(t.Context(), c, keys, func(context.Context) error {
		evict(t, admin, "b")
		return nil
	})
	if err == nil {
		t.Error("Mutate says nothing of a closed fence that is gone")
	}
	errFn := errors.New("fn fails")
	err = cache.Mutate(t.Context(), c, keys, func(context.Context) error {
		evict(t, admin, "b")
		return errFn
	})
	if !errors.Is(err, errFn) {
		t.Errorf("the error is not that of fn: %v", err)
	}
	succeed(t, cache.Mutate(t.Context(), c, keys, func(context.Context) error { return nil }))
}
