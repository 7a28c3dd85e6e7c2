// Package entitytest has types with generated code, for the tests of the codec msgp.
package entitytest

import (
	"net/netip"
	"strconv"
	"time"
)

//go:generate go run github.com/tinylib/msgp@v1.6.0 -io=false -tests=false

//msgp:newtime
//msgp:binmarshal netip.Addr
//msgp:textmarshal Level
//msgp:tuple Point

// User is an entity such as services cache, written so that the codecs msgp and msgpack read
// each other's values: the directive newtime above, names only in tags of msgpack, allownil
// wherever nil is possible.
type User struct {
	ID      int64
	Name    string
	Email   string   `msgpack:"mail"`
	Roles   []string `msgpack:",allownil"`
	Created time.Time
	Attrs   map[string]string `msgpack:",allownil"`
}

// Users has generated code of its own; a []User has none.
type Users []User

// Small is so small that its generated methods have no pointer receiver.
type Small struct{ A, B int32 }

// Tree is recursive.
type Tree struct {
	Name        string
	Pad         [64]int64
	Left, Right *Tree
	Children    []*Tree `msgpack:",allownil"`
}

// Point is a list on the wire.
type Point struct {
	//lint:ignore U1000 the codec msgpack reads its tag
	_msgpack struct{} `msgpack:",as_array"`
	X, Y     float64
}

// Level encodes itself as a text.
type Level struct{ n int }

// LevelOf returns the Level n.
func LevelOf(n int) Level { return Level{n} }

// MarshalText returns the level as a decimal number.
func (l Level) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(l.n), 10), nil }

// UnmarshalText reads what MarshalText has written.
func (l *Level) UnmarshalText(text []byte) (err error) {
	l.n, err = strconv.Atoi(string(text))
	return err
}

// Base is embedded in Forms.
type Base struct {
	Kind  string
	Grade uint8
}

// Forms has a field for each form of value that the two codecs agree on.
type Forms struct {
	Int       int
	Int8      int8
	Int16     int16
	Int32     int32
	Int64     int64
	Uint      uint
	Uint8     uint8
	Uint16    uint16
	Uint32    uint32
	Uint64    uint64
	Float32   float32
	Float64   float64
	Bool      bool
	Text      string
	Bytes     []byte `msgpack:",allownil"`
	Array     [4]byte
	Numbers   [3]int
	Ints      []int             `msgpack:",allownil"`
	Texts     []string          `msgpack:"texts,allownil"`
	Map       map[string]string `msgpack:",allownil"`
	Counts    map[string]int    `msgpack:",allownil"`
	Pointer   *Small
	Struct    Small
	List      []Small  `msgpack:",allownil"`
	Pointers  []*Small `msgpack:",allownil"`
	Time      time.Time
	TimeOrNil *time.Time
	Duration  time.Duration
	Point     Point
	Omitted   string `msgpack:",omitempty"`
	Left      string `msgpack:"-"`
	Addr      netip.Addr
	Level     Level
	Anonymous struct{ Z int }
	Base      `msgpack:",flatten"`
}

// Aliasing keeps a part of the payload instead of copying it.
type Aliasing struct {
	ID  int
	Raw []byte `msgpack:",zerocopy"`
}

// Wrapped has one inside.
type Wrapped struct {
	Inner map[string]*Aliasing
}
