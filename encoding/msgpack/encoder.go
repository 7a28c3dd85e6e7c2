package msgpack

import (
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// encoder is an encoder and the buffer that it writes to. If a value's own method encodes another
// value by this codec, it gets another encoder.
type encoder struct {
	enc *msgpack.Encoder
	buf output
}

var encoders = sync.Pool{New: func() any { return &encoder{enc: msgpack.NewEncoder(nil)} }}

// free ends the use of e. It is not called after an error or a panic, which may have come from
// anywhere within a value's method. It does not keep an encoder whose buffers are large: enc has
// one of its own, which is as large as the longest array of bytes that it has written.
func (e *encoder) free() {
	if e.buf.Cap() > wire.MaxKept {
		return
	}
	encoders.Put(e)
}
