package benchmarks

import (
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding"
	_ "github.com/mgtv-tech/jetcache-go/encoding/msgp"
	_ "github.com/mgtv-tech/jetcache-go/encoding/sonic"
)

// plainMsgpack is the library below the codec "msgpack", as one would use it by oneself.
type plainMsgpack struct{}

func (plainMsgpack) Marshal(v any) ([]byte, error)      { return msgpack.Marshal(v) }
func (plainMsgpack) Unmarshal(data []byte, v any) error { return msgpack.Unmarshal(data, v) }
func (plainMsgpack) Name() string                       { return "plain_msgpack" }

func codecs() []encoding.Codec {
	return []encoding.Codec{
		plainMsgpack{},
		encoding.GetCodec("msgpack"),
		encoding.GetCodec("msgp"), // by the code in entity_gen.go
		encoding.GetCodec("json"),
		encoding.GetCodec("sonic"),
	}
}

// BenchmarkCodec encodes and decodes the entity, and reports how many bytes it takes.
func BenchmarkCodec(b *testing.B) {
	e := entityOf(12_345)
	for _, codec := range codecs() {
		b.Run(codec.Name(), func(b *testing.B) {
			data, err := codec.Marshal(e)
			if err != nil {
				b.Fatal(err)
			}
			b.Run("marshal", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := codec.Marshal(e); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(data)), "bytes")
			})
			b.Run("unmarshal", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var got entity
					if err := codec.Unmarshal(data, &got); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func TestCodecs(t *testing.T) {
	for _, codec := range codecs() {
		t.Run(codec.Name(), func(t *testing.T) {
			for _, id := range upTo(100) {
				data, err := codec.Marshal(entityOf(id))
				if err != nil {
					t.Fatal(err)
				}
				var got entity
				if err := codec.Unmarshal(data, &got); err != nil || !got.same(entityOf(id)) {
					t.Fatalf("id %d: %v, %+v", id, err, got)
				}
			}
		})
	}
}
