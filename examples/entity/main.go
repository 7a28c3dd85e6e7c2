// Command entity caches users by their ids: single reads, batches, changes, and users
// that do not exist. It runs on an embedded Redis, or on one of yours with -redis.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"slices"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/examples/internal/demoredis"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// User is what the database holds.
type User struct {
	ID   int
	Name string
}

// errNoUser is what our database says when there is no such user, as sql.ErrNoRows would.
var errNoUser = errors.New("no such user")

// database stands for the real one; each query is printed.
type database map[int]User

func (db database) one(_ context.Context, id int) (User, error) {
	fmt.Println("  database: user", id)
	u, ok := db[id]
	if !ok {
		return User{}, errNoUser
	}
	return u, nil
}

// many returns the users that exist, in one query.
func (db database) many(_ context.Context, ids []int) (map[int]User, error) {
	slices.Sort(ids)
	fmt.Println("  database: users", ids)
	found := make(map[int]User)
	for _, id := range ids {
		if u, ok := db[id]; ok {
			found[id] = u
		}
	}
	return found, nil
}

func main() {
	addr := flag.String("redis", "", "address of a Redis; an embedded one if empty")
	flag.Parse()
	if err := run(*addr); err != nil {
		log.Fatal(err)
	}
}

func run(addr string) error {
	server, err := demoredis.Open(addr)
	if err != nil {
		return err
	}
	defer server.Close()
	client := server.Client()
	defer client.Close()

	store := local.NewTinyLFU(10_000, time.Minute)
	defer store.Close()
	c := cache.New(
		cache.WithName("users"),
		cache.WithLocal(store),
		cache.WithRemote(remote.NewGoRedisV9Adapter(client)),
		cache.WithErrNotFound(errNoUser),
	)
	defer c.Close()
	users := cache.NewT[int, User](c)

	ctx := context.Background()
	db := database{1: {1, "Ada"}, 2: {2, "Grace"}, 3: {3, "Edsger"}}
	const prefix = "example:user" // keys are example:user:1, example:user:2 …
	for id := range 5 {
		if err := users.Delete(ctx, prefix, id); err != nil { // what an earlier run has left
			return err
		}
	}

	fmt.Println("Get, twice: the database is asked once.")
	for range 2 {
		u, err := users.Get(ctx, prefix, 1, db.one)
		fmt.Println(" ", u, err)
	}

	fmt.Println("MGet: only what is missing is loaded, in one query; user 4 does not exist.")
	fmt.Println(" ", users.MGet(ctx, prefix, []int{1, 2, 3, 4}, db.many))

	fmt.Println("MGet again: nothing is loaded, that user 4 does not exist is remembered.")
	fmt.Println(" ", users.MGet(ctx, prefix, []int{1, 2, 3, 4}, db.many))
	_, err = users.Get(ctx, prefix, 4, db.one)
	fmt.Println("  user 4:", err)

	fmt.Println("A user changes: first the database, then the cache.")
	db[2] = User{2, "Grace Hopper"}
	if err := users.Delete(ctx, prefix, 2); err != nil {
		return err
	}
	u, err := users.Get(ctx, prefix, 2, db.one)
	fmt.Println(" ", u, err)

	fmt.Println("Set puts the new value there at once.")
	db[3] = User{3, "Edsger W. Dijkstra"}
	if err := users.Set(ctx, prefix, 3, db[3]); err != nil {
		return err
	}
	u, err = users.Get(ctx, prefix, 3, db.one)
	fmt.Println(" ", u, err)
	return nil
}
