// Command entity caches users by their ids. It shows single reads, batches, changes, and
// users that do not exist. It runs on an embedded Redis, or on another one with -redis.
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

// User is a row of the database.
type User struct {
	ID   int
	Name string
}

// errNoUser is what the database returns for an unknown id, as database/sql returns
// sql.ErrNoRows.
var errNoUser = errors.New("no such user")

// database stands for a real database. It prints each query.
type database map[int]User

// one returns one user.
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

	store := local.NewOtter(10_000, time.Minute)
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
	const prefix = "example:user" // the keys are example:user:1, example:user:2 and so on
	// An earlier run may have left users in Redis.
	if err := users.MDelete(ctx, prefix, []int{1, 2, 3, 4}); err != nil {
		return err
	}

	fmt.Println("Get user 1 twice. The first call loads it, and the second finds it in the cache.")
	for range 2 {
		u, err := users.Get(ctx, prefix, 1, db.one)
		fmt.Printf("  got %v, error %v\n", u, err)
	}

	fmt.Println("Get users 1 to 4. One query loads those that the cache does not have. User 4 does not exist.")
	fmt.Println("  got", users.MGet(ctx, prefix, []int{1, 2, 3, 4}, db.many))

	fmt.Println("Get users 1 to 4 again. The cache remembers that user 4 does not exist, so there is no query.")
	fmt.Println("  got", users.MGet(ctx, prefix, []int{1, 2, 3, 4}, db.many))
	u, err := users.Get(ctx, prefix, 4, db.one)
	fmt.Printf("  got %v, error %v\n", u, err)

	fmt.Println("Change user 2 in the database, and delete it from the cache. The next Get loads it.")
	db[2] = User{2, "Grace Hopper"}
	if err := users.Delete(ctx, prefix, 2); err != nil {
		return err
	}
	u, err = users.Get(ctx, prefix, 2, db.one)
	fmt.Printf("  got %v, error %v\n", u, err)

	fmt.Println("Change user 3 in the database, and set it in the cache. The next Get does not load it.")
	db[3] = User{3, "Edsger W. Dijkstra"}
	if err := users.Set(ctx, prefix, 3, db[3]); err != nil {
		return err
	}
	u, err = users.Get(ctx, prefix, 3, db.one)
	fmt.Printf("  got %v, error %v\n", u, err)
	return nil
}
