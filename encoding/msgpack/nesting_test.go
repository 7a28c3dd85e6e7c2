package msgpack

import (
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

type chained struct {
	N    int
	Next *chained
}

func chain(n int) (head *chained) {
	for i := range n {
		head = &chained{i, head}
	}
	return head
}

func TestDeepValues(t *testing.T) {
	for _, n := range []int{9000, MaxDepth} {
		b, err := codec{}.Marshal(chain(n))
		if err != nil {
			t.Fatal(err)
		}
		var got *chained
		if err := (codec{}).Unmarshal(b, &got); err != nil || got.N != n-1 {
			t.Errorf("a chain of %d: %v", n, err)
		}
	}
	if _, err := (codec{}).Marshal(chain(MaxDepth + 1)); err == nil || !strings.Contains(err.Error(), "a *msgpack.chained nests deeper than 10000") {
		t.Errorf("a chain that is too long: %v", err)
	}
}

// Tags decide what is encoded.
func TestAFieldThatLeadsBackMayBeLeftOut(t *testing.T) {
	type entity struct {
		Name   string
		Parent *entity `msgpack:"-"`
		Other  *entity `msgpack:"-,omitempty"`
		Child  *entity `json:"-"`
	}
	e := &entity{Name: "e"}
	e.Parent, e.Other = e, e
	if _, err := (codec{}).Marshal(e); err != nil {
		t.Error(err)
	}
	e.Child = e
	if _, err := (codec{}).Marshal(e); err == nil || !strings.Contains(err.Error(), "refers back to itself at Child.Child") {
		t.Errorf("got %v", err)
	}
}

type itself struct {
	*itself //lint:ignore U1000 the library follows it
	N       int
}

// The library would follow the embedded types until the stack overflows.
func TestATypeThatEmbedsItself(t *testing.T) {
	if b, err := (codec{}).Marshal(itself{N: 1}); err == nil || !strings.Contains(err.Error(), "msgpack.itself embeds itself") {
		t.Errorf("encoded as % x, %v", b, err)
	}
	for _, dst := range []any{new(itself), new([]itself), new(map[string]*itself), new(struct{ Inner itself })} {
		if err := (codec{}).Unmarshal([]byte{0x80, 0x00}, dst); err == nil || !strings.Contains(err.Error(), "msgpack.itself embeds itself") {
			t.Errorf("decoded into a %T: %v", dst, err)
		}
	}
}

// own encodes itself, and what it refers to by the same encoder.
type own struct{ Next *own }

func (o *own) EncodeMsgpack(e *msgpack.Encoder) error {
	if err := e.EncodeMapLen(1); err != nil {
		return err
	}
	return e.EncodeMulti("next", o.Next)
}

func (o *own) DecodeMsgpack(d *msgpack.Decoder) error {
	if _, err := d.DecodeMapLen(); err != nil {
		return err
	}
	if _, err := d.DecodeString(); err != nil {
		return err
	}
	return d.Decode(&o.Next)
}

// Nobody can see what a type's own method will encode.
func TestATypeThatEncodesItselfAndRefersBack(t *testing.T) {
	o := &own{}
	o.Next = o
	for _, v := range []any{o, []*own{o}, map[string]any{"first": strings.Repeat("long ", 1<<20), "own": o}} {
		if b, err := (codec{}).Marshal(v); err == nil || !strings.Contains(err.Error(), "own method encodes more than 10000") {
			t.Errorf("a %T became %d bytes, %v", v, len(b), err)
		}
	}
	var head *own
	for range 9000 {
		head = &own{head}
	}
	b, err := codec{}.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	var got own
	if err := (codec{}).Unmarshal(b, &got); err != nil {
		t.Error(err)
	}
	if encoding.MaxDepth != MaxDepth {
		t.Error("the limits differ")
	}
}

// The output is looked at again and again, but only what is new in it.
func TestLongOutput(t *testing.T) {
	want := make([][]string, 2000)
	for i := range want {
		want[i] = []string{strings.Repeat("x", i), "", strings.Repeat("y", i%40)}
	}
	b, err := codec{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	if err := (codec{}).Unmarshal(b, &got); err != nil || len(got) != len(want) || got[1999][0] != want[1999][0] {
		t.Errorf("%d lists came back as %d, %v", len(want), len(got), err)
	}
}
