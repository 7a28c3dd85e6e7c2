package msgpack

import (
	"errors"
	"io"
	"runtime"
	"strings"
)

// input is what the decoder reads a payload from. Only copies leave it, so that what is
// decoded shares no memory with the payload.
//
// It also keeps the decoder to the values that have been checked. Where the decoder wants a
// map and finds an extension, it skips the extension's head and reads on within its bytes,
// as if the map followed the head. Those bytes are anybody's: lengths that they announce have
// been held against nothing.
type input struct {
	data  []byte
	at    int
	ended bool // more was asked for than there is
}

var (
	errExtension = errors.New("msgpack: an extension where a map is expected")
	errUnread    = errors.New("msgpack: there is no byte to unread")
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
	c := in.data[in.at]
	if c >= 0xc7 && c <= 0xd8 && in.mapFollowsHead() && wantsMap() {
		return 0, errExtension
	}
	in.at++
	return c, nil
}

func (in *input) UnreadByte() error {
	if in.at == 0 {
		return errUnread
	}
	in.at--
	return nil
}

// mapFollowsHead tells whether an extension is at hand whose bytes begin like a map, or like
// the nil that stands for one, as they do in one of thirteen times with nanoseconds.
func (in *input) mapFollowsHead() bool {
	head := 2 // the code and the type
	switch in.data[in.at] {
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // of 1, 2, 4, 8 and 16 bytes
	case 0xc7: // the length in one byte
		head++
	case 0xc8: // in two
		head += 2
	case 0xc9: // in four
		head += 4
	default:
		return false
	}
	if head >= len(in.data)-in.at {
		return false
	}
	switch c := in.data[in.at+head]; c {
	case 0xc0, 0xde, 0xdf:
		return true
	default:
		return c&0xf0 == 0x80
	}
}

// wantsMap tells whether the decoder is about to read a map's length. Nothing that it hands
// out says so, and the bytes alone cannot: an extension of any type may stand where a type of
// the user's has a decoder of its own. So its callers tell.
func wantsMap() bool {
	var callers [2]uintptr
	runtime.Callers(4, callers[:]) // of readCode, which has called ReadByte
	frame, _ := runtime.CallersFrames(callers[:]).Next()
	return strings.HasSuffix(frame.Function, ".(*Decoder).DecodeMapLen")
}
