// Command codec shows what each codec stores for the same value, and how a program adds a
// codec of its own. It needs no Redis.
package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"log"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/encoding"
	_ "github.com/mgtv-tech/jetcache-go/encoding/sonic" // makes "sonic" use bytedance/sonic
	"github.com/mgtv-tech/jetcache-go/local"
)

// Product is what the program caches.
type Product struct {
	SKU   string
	Price int64
	Tags  []string
}

// gobCodec is a codec of this program. A codec must check the sizes that it reads, as its
// input comes from Redis; gob does so.
type gobCodec struct{}

func (gobCodec) Name() string { return "gob" }

func (gobCodec) Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func (gobCodec) Unmarshal(data []byte, v any) error {
	return gob.NewDecoder(bytes.NewReader(data)).Decode(v)
}

func main() {
	fmt.Println("What each codec stores for the same product:")
	encoding.RegisterCodec(gobCodec{}) // before cache.New, which looks the name up
	for _, codec := range []string{"msgpack", "json", "sonic", "gob"} {
		if err := show(codec); err != nil {
			log.Fatalf("%s: %v", codec, err)
		}
	}
}

// show stores a product with this codec, and prints the stored bytes and what is read back.
func show(codec string) error {
	store := local.NewOtter(100, time.Minute)
	defer store.Close()
	c := cache.New(cache.WithName(codec), cache.WithCodec(codec), cache.WithLocal(store))
	defer c.Close()

	ctx := context.Background()
	in := Product{SKU: "B-1024", Price: 1999, Tags: []string{"new", "blue"}}
	if err := c.Set(ctx, "product:1", cache.Value(in)); err != nil {
		return err
	}
	var out Product
	if err := c.Get(ctx, "product:1", &out); err != nil {
		return err
	}
	stored, _ := store.Get("product:1")
	fmt.Printf("%-8s %3d bytes: %q\n", codec, len(stored), stored)
	fmt.Printf("%-8s read back: %+v\n", "", out)
	return nil
}
