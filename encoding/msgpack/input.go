package msgpack

import (
	"bytes"
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
	time  int  // where the bytes of a time begin that begin like a map; 0: there has been none
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
	if (c >= 0xc7 && c <= 0xd8 || in.at == in.time) && in.misread(c) {
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

// misread tells whether c, which is at hand, is about to be read by a decoder that takes an
// extension for a map. That can be only if the extension's bytes begin like a map, as they do
// in one of thirteen times with nanoseconds.
func (in *input) misread(c byte) bool {
	head := in.at + 2 // the code and the type
	switch c {
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // of 1, 2, 4, 8 and 16 bytes
	case 0xc7: // the length in one byte
		head++
	case 0xc8: // in two
		head += 2
	case 0xc9: // in four
		head += 4
	default: // the bytes of a time are read at once, so who reads the first by itself is wrong
		return in.at == in.time && in.at > 0
	}
	if head >= len(in.data) {
		return false
	}
	if length := in.data[in.at+1 : head-1]; len(length) > 0 && len(bytes.Trim(length, "\x00")) == 0 {
		return false // what follows is a value by itself
	}
	if first := in.data[head]; first != 0xc0 && first != 0xde && first != 0xdf && first&0xf0 != 0x80 {
		return false
	}
	if in.data[head-1] == typeTime {
		in.time = head
		return false
	}
	return wantsMap()
}

// typeTime is the extension type of a time, -1.
const typeTime = 0xff

// wantsMap tells whether the decoder is about to read a map's length. Nothing that it hands
// out says so, and the bytes alone cannot: an extension of any type but a time's may be read
// byte by byte, by a method of the user's. So the decoder's callers have to tell, which takes
// half a microsecond.
func wantsMap() bool {
	var callers [2]uintptr
	runtime.Callers(5, callers[:]) // of readCode, which has called ReadByte, which has called misread
	frame, _ := runtime.CallersFrames(callers[:]).Next()
	return strings.HasSuffix(frame.Function, ".(*Decoder).DecodeMapLen")
}
