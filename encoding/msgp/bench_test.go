package msgp

import (
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/msgp/internal/entitytest"
	"github.com/mgtv-tech/jetcache-go/encoding/msgpack"
)

// large is the entity of the benchmarks of package msgpack: 270 bytes.
func large() entitytest.User {
	return entitytest.User{
		ID: 7_340_032, Name: "Gwendolyn Abernathy-Fitzgerald", Email: "gwendolyn.abernathy@mail.example.org",
		Roles:   []string{"editor", "billing", "support-level-2"},
		Created: time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.UTC),
		Attrs: map[string]string{
			"city": "Kristiansand", "locale": "nb-NO", "phone": "+47 912 34 567",
			"plan": "quarterly", "avatar": "https://img.example.org/u/5f1c9e02b7.png",
		},
	}
}

// Both codecs and the generated code by itself, on the same entity, in one run.
func BenchmarkMarshal(b *testing.B) {
	v := ptr(large())
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.MarshalMsg(nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, name := range []string{Name, msgpack.Name} {
		c := encoding.GetCodec(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Marshal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	value, c := any(large()), codec{}
	b.Run("msgp of a value", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Marshal(value); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	plain, err := ptr(large()).MarshalMsg(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var dst entitytest.User
			if _, err := dst.UnmarshalMsg(plain); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, name := range []string{Name, msgpack.Name} {
		c := encoding.GetCodec(name)
		stored := mustMarshal(b, c, ptr(large()))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var dst entitytest.User
				if err := c.Unmarshal(stored, &dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
