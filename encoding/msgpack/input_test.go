package msgpack

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/wire"
)

func TestASealStopsASingleByteOnly(t *testing.T) {
	in := input{data: []byte{0, 1, 2, 3, 4, 5, 6}, seals: wire.Seals{2, 3, 5}}
	one := func(want byte, wantErr error) {
		t.Helper()
		if c, err := in.ReadByte(); c != want || !errors.Is(err, wantErr) {
			t.Fatalf("read %d, %v, want %d, %v", c, err, want, wantErr)
		}
	}
	many := func(want ...byte) {
		t.Helper()
		p := make([]byte, len(want))
		if n, err := in.Read(p); n != len(p) || err != nil || !bytes.Equal(p, want) {
			t.Fatalf("read %v, %v, want %v", p[:n], err, want)
		}
	}
	unread := func(wantErr error) {
		t.Helper()
		if err := in.UnreadByte(); !errors.Is(err, wantErr) {
			t.Fatalf("unread: %v, want %v", err, wantErr)
		}
	}
	unread(errUnread)
	one(0, nil)
	unread(nil)
	one(0, nil)
	one(1, nil)
	one(0, errSealed)
	one(0, errSealed) // again and again
	many(2)
	one(0, errSealed)
	many(3)
	one(4, nil)
	unread(nil)
	many(4, 5)
	one(6, nil)
	unread(nil)
	unread(nil)
	one(0, errSealed) // also where a longer read has passed
	if in.ended {
		t.Fatal("the end was reached")
	}
	many(5, 6)
	one(0, io.EOF)
	if !in.ended {
		t.Error("nobody noticed that the end was reached")
	}
}
