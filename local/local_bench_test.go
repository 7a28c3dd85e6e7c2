package local_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/local"
)

const benchmarkKeys = 64

func benchmarkStores(b *testing.B) map[string]local.Local {
	otter, tinyLFU := local.NewOtter(1000, time.Hour), local.NewTinyLFU(1000, time.Hour)
	b.Cleanup(otter.Close)
	b.Cleanup(tinyLFU.Close)
	return map[string]local.Local{"Otter": otter, "TinyLFU": tinyLFU, "FreeCache": local.NewArena(local.MB).NewFreeCache(time.Hour)}
}

// BenchmarkGet reads entries of a few keys, which stay in the processor's cache.
func BenchmarkGet(b *testing.B) {
	for name, s := range benchmarkStores(b) {
		benchmarkReads(b, name, s, s.Set)
	}
}

func benchmarkReads(b *testing.B, name string, s local.Local, set func(key string, data []byte)) {
	keys := make([]string, benchmarkKeys)
	for i := range keys {
		keys[i] = "key:" + strconv.Itoa(i)
		set(keys[i], make([]byte, 100))
	}
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok := s.Get(keys[i%benchmarkKeys]); !ok {
				b.Fatal("a miss")
			}
		}
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, ok := s.Get(keys[i%benchmarkKeys]); !ok {
					b.Error("a miss")
					return
				}
			}
		})
	})
}

// BenchmarkSet writes entries whose keys are there.
func BenchmarkSet(b *testing.B) {
	for name, s := range benchmarkStores(b) {
		data := make([]byte, 100)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Set("key:"+strconv.Itoa(i%benchmarkKeys), data)
			}
		})
	}
}

// BenchmarkGetWithStale is BenchmarkGet for entries with an early and a stale time.
func BenchmarkGetWithStale(b *testing.B) {
	for name, s := range benchmarkStores(b) {
		benchmarkReads(b, name, s, func(key string, data []byte) {
			s.(local.StaleKeeper).SetWithLife(key, data, local.Life{Stale: time.Hour, Early: time.Minute})
		})
	}
}
