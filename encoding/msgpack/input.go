package msgpack

import (
	"errors"
	"io"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

// input is what the decoder reads a payload from. Only copies leave it, so that decoded values
// share no memory with the payload. It keeps the decoder from reading values that nobody has
// checked: a read of a single byte fails at a seal.
type input struct {
	data  []byte
	at    int
	seals wire.Seals // those not yet passed are seals[next:]
	next  int
	ended bool // the decoder has asked for more than there is
}

var (
	errSealed = errors.New("msgpack: an extension where a map is expected")
	errUnread = errors.New("msgpack: there is no byte to unread")
)

func (in *input) Read(p []byte) (int, error) {
	if in.at >= len(in.data) {
		in.ended = true
		return 0, io.EOF
	}
	n := copy(p, in.data[in.at:])
	in.at += n
	return n, nil
}

func (in *input) ReadByte() (byte, error) {
	if in.at >= len(in.data) {
		in.ended = true
		return 0, io.EOF
	}
	if in.next < len(in.seals) && in.at >= in.seals[in.next] && in.sealed() {
		return 0, errSealed
	}
	c := in.data[in.at]
	in.at++
	return c, nil
}

// sealed tells whether there is a seal at the place that is about to be read.
func (in *input) sealed() bool {
	for in.next < len(in.seals) && in.seals[in.next] < in.at {
		in.next++
	}
	return in.next < len(in.seals) && in.seals[in.next] == in.at
}

func (in *input) UnreadByte() error {
	if in.at == 0 {
		return errUnread
	}
	in.at--
	if in.next > 0 && in.seals[in.next-1] == in.at { // the seal has been passed by a longer read
		in.next--
	}
	return nil
}
