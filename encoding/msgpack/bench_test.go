package msgpack

import (
	"reflect"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// user is an entity such as services cache: about 300 bytes of MessagePack, which S2 cannot
// make smaller.
type user struct {
	ID      int64
	Name    string
	Email   string
	Roles   []string
	Created time.Time
	Attrs   map[string]string
}

func sampleUser() user {
	return user{
		ID: 7_340_032, Name: "Gwendolyn Abernathy-Fitzgerald", Email: "gwendolyn.abernathy@mail.example.org",
		Roles:   []string{"editor", "billing", "support-level-2"},
		Created: time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.UTC),
		Attrs: map[string]string{
			"city": "Kristiansand", "locale": "nb-NO", "phone": "+47 912 34 567",
			"plan": "quarterly", "avatar": "https://img.example.org/u/5f1c9e02b7.png",
		},
	}
}

// page is a larger value, which S2 makes much smaller.
func page() []user {
	users := make([]user, 20)
	for i := range users {
		users[i] = sampleUser()
		users[i].ID += int64(i)
	}
	return users
}

// Both sides in one run: what vmihailenco/msgpack takes by itself, and the codec.
func BenchmarkMarshal(b *testing.B) {
	for _, bb := range []struct {
		name string
		v    any
	}{{"user", ptr(sampleUser())}, {"page", ptr(page())}} {
		b.Run(bb.name+"/plain", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := msgpack.Marshal(bb.v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bb.name+"/codec", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (codec{}).Marshal(bb.v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	benchmarkUnmarshal[user](b, "user", sampleUser())
	benchmarkUnmarshal[[]user](b, "page", page())
	benchmarkUnmarshal[map[string]any](b, "map", map[string]any{"id": 1, "tags": []string{"a", "b"}, "score": 0.5})
}

func benchmarkUnmarshal[T any](b *testing.B, name string, v T) {
	plain, err := msgpack.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	stored, err := codec{}.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run(name+"/plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var dst T
			if err := msgpack.Unmarshal(plain, &dst); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/codec", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var dst T
			if err := (codec{}).Unmarshal(stored, &dst); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/limits", func(b *testing.B) { // what of it goes into the limits
		b.ReportAllocs()
		var dst T
		cost, seals := bound.CostOf(reflect.TypeOf(&dst)), wire.Seals(nil)
		for b.Loop() {
			var err error
			if _, seals, err = wire.AdmitSealed(plain, seals, len(stored), &dst, cost); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }
