package remote_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// BenchmarkFences compares what fences and leases cost with the plain commands, on a real Redis.
// "/parallel" has many callers on one client.
func BenchmarkFences(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			s := redistest.Real(b)
			r := remote.NewGoRedis(s.Client).(*remote.GoRedisV9Adapter)
			keys := numbered(n)
			items, plain := make([]remote.FencedItem, n), make([]remote.Item, n)
			asks, ends := make([]remote.LeaseAsk, n), make([]remote.LeaseEnd, n)
			nonces, err := r.OpenFences(ctx, time.Hour, keys...)
			if err != nil {
				b.Fatal(err)
			}
			for i, key := range keys {
				plain[i] = remote.Item{Key: key, Data: make([]byte, 200), Expire: time.Hour}
				items[i] = remote.FencedItem{Item: plain[i], Nonce: nonces[i]}
				asks[i], ends[i] = remote.LeaseAsk{Key: key, Token: "token"}, remote.LeaseEnd{Key: key, Token: "token"}
			}
			anyway := make([]remote.FencedItem, n)
			for i := range anyway {
				anyway[i] = remote.FencedItem{Item: plain[i], Renew: true}
			}
			get := func() error { _, err := r.MGet(ctx, keys...); return err }
			set := func() error { return r.MSetItems(ctx, plain...) }
			del := func() error { return r.MDel(ctx, keys...) }
			if n == 1 {
				get = func() error { _, err := r.Get(ctx, keys[0]); return err }
				set = func() error { return r.SetEX(ctx, keys[0], plain[0].Data, time.Hour) }
				del = func() error { _, err := r.Del(ctx, keys[0]); return err }
			}
			for _, bench := range []struct {
				name string
				call func() error
			}{
				{"SET", set},
				{"GET", get},
				{"OpenFences", func() error { _, err := r.OpenFences(ctx, time.Minute, keys...); return err }},
				{"SetFenced", func() error { _, err := r.SetFenced(ctx, time.Minute, items...); return err }},
				{"SetFenced,renew", func() error { _, err := r.SetFenced(ctx, time.Minute, anyway...); return err }},
				{"DEL", del},
				{"DelFenced", func() error { return r.DelFenced(ctx, time.Minute, keys...) }},
				{"AcquireLeases", func() error { _, err := r.AcquireLeases(ctx, time.Minute, asks...); return err }},
				{"ReleaseLeases", func() error { _, err := r.ReleaseLeases(ctx, time.Minute, ends...); return err }},
			} {
				b.Run(bench.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := bench.call(); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.Run(bench.name+"/parallel", func(b *testing.B) {
					b.ReportAllocs()
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := bench.call(); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			}
		})
	}
}
