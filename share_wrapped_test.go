package cache_test

import (
	"testing"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
)

// prefixing embeds a store and has other keys in it.
type prefixing struct{ *local.Otter }

func (p prefixing) Set(key string, data []byte)   { p.Otter.Set("mine:"+key, data) }
func (p prefixing) Get(key string) ([]byte, bool) { return p.Otter.Get("mine:" + key) }
func (p prefixing) Del(key string)                { p.Otter.Del("mine:" + key) }

// A store that embeds one of ours has its methods, but T must read by the store's own Get.
func TestAStoreThatEmbedsOneOfOursIsReadByItsOwnGet(t *testing.T) {
	inner := stores["Otter"](t).(*local.Otter)
	inner.Set("k:1", []byte("of somebody else"))
	c := cache.New(cache.WithLocal(prefixing{inner}), cache.WithStatsDisabled(true))
	defer c.Close()
	texts := cache.NewT[int, string](c)
	inner.Set("mine:k:1", []byte("mine"))
	if v, err := texts.Get(ctx, "k", 1, nil); v != "mine" || err != nil {
		t.Errorf("Get returned %q, %v", v, err)
	}
	if m := texts.MGet(ctx, "k", []int{1}, nil); m[1] != "mine" {
		t.Errorf("MGet returned %v", m)
	}
}
