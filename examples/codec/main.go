// Command codec shows what the codecs store for one value, and how to bring one of your
// own. It needs nothing else.
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
	_ "github.com/mgtv-tech/jetcache-go/encoding/sonic" // JSON by bytedance/sonic
	"github.com/mgtv-tech/jetcache-go/local"
)

// Product is the value.
type Product struct {
	SKU   string
	Price int64
	Tags  []string
}

// gobCodec is a codec of our own. Gob checks the sizes it reads, as a codec has to.
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
	encoding.RegisterCodec(gobCodec{}) // before New
	for _, codec := range []string{"msgpack", "json", "sonic", "gob"} {
		if err := show(codec); err != nil {
			log.Fatalf("%s: %v", codec, err)
		}
	}
}

func show(codec string) error {
	store := local.NewTinyLFU(100, time.Minute)
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
