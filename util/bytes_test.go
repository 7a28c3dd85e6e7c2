package util

import (
	"testing"
	"unsafe"
)

func TestStringSharesMemory(t *testing.T) {
	b := []byte("text")
	s := String(b)
	if s != "text" || unsafe.StringData(s) != &b[0] {
		t.Errorf("got %q, a copy: %v", s, unsafe.StringData(s) != &b[0])
	}
	for _, b := range [][]byte{nil, {}} {
		if s := String(b); s != "" {
			t.Errorf("of no bytes: %q", s)
		}
	}
}

func TestBytesSharesMemory(t *testing.T) {
	s := "text"
	b := Bytes(s)
	if string(b) != s || len(b) != 4 || cap(b) != 4 || &b[0] != unsafe.StringData(s) {
		t.Errorf("got %q with a capacity of %d, a copy: %v", b, cap(b), &b[0] != unsafe.StringData(s))
	}
	if b := Bytes(""); b == nil || len(b) != 0 {
		t.Errorf("of an empty string: %v, nil: %v", b, b == nil)
	}
	if longer := append(Bytes(s), "!"...); string(longer) != "text!" || s != "text" {
		t.Errorf("after an append: %q and %q", longer, s)
	}
}

func TestConversionsDoNotAllocate(t *testing.T) {
	b, s := []byte("some bytes that are too long for a buffer on the stack"), "some text that is too long for a buffer on the stack"
	var length int
	if n := testing.AllocsPerRun(100, func() { length += len(String(b)) + len(Bytes(s)) + len(Bytes("")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
