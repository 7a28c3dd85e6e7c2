package remote_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/remote"
)

func ExampleNewGoRedis() {
	server, err := miniredis.Run()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = client.Close() }()

	r := remote.NewGoRedis(client, remote.WithAutoPipeline())
	_ = r.SetEX(context.Background(), "greeting", "hello", time.Minute)
	fmt.Println(r.Get(context.Background(), "greeting"))
	// Output: hello <nil>
}

func ExampleGoRedisV9Adapter_Subscribe() {
	server, err := miniredis.Run()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = client.Close() }()

	bus := remote.NewGoRedis(client).(remote.Bus)
	ctx, cancel := context.WithCancel(context.Background())
	err = bus.Subscribe(ctx, []string{"news"}, func() {
		fmt.Println("ready")
		_ = bus.Publish(ctx, "news", []byte("hello"))
	}, func(channel string, message []byte) {
		fmt.Printf("%s: %s\n", channel, message)
		cancel()
	})
	fmt.Println(err)
	// Output:
	// ready
	// news: hello
	// context canceled
}
