package faults

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// batch is the ids of a batch, and what changes all of them.
var (
	ids   = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	batch = map[string]func(ctx context.Context, rows *cache.T[int, string], value string) error{
		"MSet": func(ctx context.Context, rows *cache.T[int, string], value string) error {
			values := make(map[int]string)
			for _, id := range ids {
				values[id] = value
			}
			return rows.MSet(ctx, "row", values)
		},
		"MDelete": func(ctx context.Context, rows *cache.T[int, string], _ string) error {
			return rows.MDelete(ctx, "row", ids)
		},
		"Mutate": func(ctx context.Context, rows *cache.T[int, string], _ string) error {
			return rows.Mutate(ctx, "row", ids, func(context.Context) error { return nil })
		},
	}
)

func rowKey(id int) string { return fmt.Sprint("row:", id) }

// The fence of one key of a batch has a wrong type, so the key cannot be changed. The error says so.
// The other keys are changed, and nobody reads what is old.
func TestABatchWithAFenceOfAWrongType(t *testing.T) {
	server := redistest.NewProcess(t)
	admin := server.Client()
	for name, change := range batch {
		t.Run(name, func(t *testing.T) {
			succeed(t, admin.FlushAll(t.Context()).Err())
			a, b := newCache(t, newClient(t, redis.Options{Addr: server.Addr()})), newCache(t, newClient(t, redis.Options{Addr: server.Addr()}))
			writer, reader := cache.NewT[int, string](a), cache.NewT[int, string](b)
			readAll(t, reader, "old")
			fence, _ := remote.FenceKey(rowKey(3))
			succeed(t, admin.Del(t.Context(), fence).Err())
			succeed(t, admin.RPush(t.Context(), fence, "no nonce").Err())
			if err := change(t.Context(), writer, "new"); err == nil {
				t.Error("the batch returned no error")
			}
			if name == "Mutate" {
				return // it has done nothing: the keys could not be fenced
			}
			// The reader gets the new values of the others, and of the key, too, as its writer removes
			// it again in the background as soon as that is possible.
			for i, id := range ids {
				if i != 3 {
					eventually(t, func() error { return readOne(t, reader, id, "new") })
				}
			}
			succeed(t, readOne(t, writer, 3, "new")) // it does not read from Redis what it could not change
			succeed(t, admin.Del(t.Context(), fence).Err())
			eventually(t, func() error { return readOne(t, reader, 3, "new") })
		})
	}
}

// One master of a cluster does not answer. Its keys fail, and the keys of the others are changed.
func TestABatchWithAMasterThatHangs(t *testing.T) {
	t.Parallel()
	cluster := redistest.NewCluster(t)
	hangs := cluster.Masters[1]
	o := cluster.Options()
	o.ReadTimeout, o.MaxRetries, o.MaxRedirects = 300*time.Millisecond, -1, 1
	client := redis.NewClusterClient(o)
	t.Cleanup(func() { _ = client.Close() })
	a, b := newCache(t, client), newCache(t, client)
	writer, reader := cache.NewT[int, string](a), cache.NewT[int, string](b)
	var others []int
	for _, id := range ids {
		if cluster.Owner(rowKey(id)) != hangs {
			others = append(others, id)
		}
	}
	if len(others) == 0 || len(others) == len(ids) {
		t.Fatalf("of the keys %v, %v are on other masters", ids, others)
	}
	for _, name := range []string{"MSet", "MDelete"} {
		for _, id := range ids { // it may have those of an earlier round for a moment
			eventually(t, func() error { return readOne(t, reader, id, "old "+name) })
		}
		hangs.Pause()
		if err := batch[name](t.Context(), writer, "new "+name); err == nil {
			t.Errorf("%s returned no error", name)
		}
		for _, id := range others {
			eventually(t, func() error { return readOne(t, reader, id, "new "+name) })
		}
		got, err := writer.MGetWithErr(t.Context(), "row", ids, loader("new "+name))
		for _, id := range ids {
			if slices.Contains(others, id) && got[id] != "new "+name {
				t.Errorf("%s: reads %v, %v", name, got, err)
				break
			}
		}
		hangs.Resume()
		for _, id := range ids {
			eventually(t, func() error { return readOne(t, reader, id, "new "+name) })
		}
		succeed(t, writer.MDelete(t.Context(), "row", ids))
	}
}

func loader(value string) func(context.Context, []int) (map[int]string, error) {
	return func(_ context.Context, missing []int) (map[int]string, error) {
		values := make(map[int]string)
		for _, id := range missing {
			values[id] = value
		}
		return values, nil
	}
}

func readAll(t *testing.T, rows *cache.T[int, string], value string) {
	t.Helper()
	got, err := rows.MGetWithErr(t.Context(), "row", ids, loader(value))
	for _, id := range ids {
		if err != nil || got[id] != value {
			t.Fatalf("reads %v, %v, want %q", got, err, value)
		}
	}
}

func readOne(t *testing.T, rows *cache.T[int, string], id int, want string) error {
	t.Helper()
	got, err := rows.Get(t.Context(), "row", id, func(context.Context, int) (string, error) { return want, nil })
	if err != nil || got != want {
		return fmt.Errorf("%d is %q, %w; want %q", id, got, err, want)
	}
	return nil
}
