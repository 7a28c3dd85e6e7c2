package msgpack

import (
	"bytes"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// encoder is an encoder and the buffer that it writes to. A value's own method that encodes
// another value by this codec gets another one.
type encoder struct {
	enc *msgpack.Encoder
	buf bytes.Buffer
}

var encoders = sync.Pool{New: func() any { return &encoder{enc: msgpack.NewEncoder(nil)} }}

// free ends the use of e. It is not called after an error or a panic, which may have come
// from anywhere within a value's method, nor does it keep an encoder whose buffers are large:
// enc has one of its own, as large as the longest array of bytes that it has written.
func (e *encoder) free() {
	if e.buf.Cap() > wire.MaxKept {
		return
	}
	e.buf.Reset()
	encoders.Put(e)
}
