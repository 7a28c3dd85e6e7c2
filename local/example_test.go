package local_test

import (
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/local"
)

func ExampleNewOtter() {
	store := local.NewOtter(10_000, time.Minute)
	defer store.Close()
	store.Set("k", []byte("v"))
	v, ok := store.Get("k")
	fmt.Printf("%s %v\n", v, ok)
	// Output: v true
}

func ExampleNewOtterBytes() {
	store := local.NewOtterBytes(64*local.MB, time.Minute)
	defer store.Close()
	store.Set("k", make([]byte, 1000))
	v, ok := store.Get("k")
	fmt.Println(len(v), ok)
	// Output: 1000 true
}

func ExampleNewTinyLFU() {
	store := local.NewTinyLFU(10_000, time.Minute)
	defer store.Close()
	store.Set("k", []byte("v"))
	v, ok := store.Get("k")
	fmt.Printf("%s %v\n", v, ok)
	// Output: v true
}

func ExampleArena_NewFreeCache() {
	arena := local.NewArena(64 * local.MB) // a block of memory for any number of stores
	users, orders := arena.NewFreeCache(time.Minute), arena.NewFreeCache(time.Hour)
	users.Set("7", []byte("Ada"))
	_, ok := orders.Get("7")
	fmt.Println(ok)
	// Output: false
}
