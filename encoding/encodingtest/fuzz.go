package encodingtest

import (
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

// Fuzz feeds f's input to codec. Whatever the bytes are, decoding has to return, and a value that
// it returns has to come back if it is encoded and decoded again. The seeds are the payloads of
// Hostile and an encoded Sample.
func Fuzz(f *testing.F, codec encoding.Codec) {
	f.Helper()
	for _, p := range Hostile() {
		if len(p) < 1<<16 { // the fuzzer slows down on megabytes; the suite has those
			f.Add(p)
		}
	}
	if b, err := codec.Marshal(Sample(1)); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, dst := range destinations() {
			_ = codec.Unmarshal(data, dst)
		}
		var e Entity
		if codec.Unmarshal(data, &e) != nil {
			return
		}
		b, err := codec.Marshal(e)
		if err != nil {
			return // such as a time out of JSON's range
		}
		var again Entity
		if err := codec.Unmarshal(b, &again); err != nil {
			t.Errorf("decoded %+v, encoded it, and cannot decode that: %v", e, err)
		}
	})
}
