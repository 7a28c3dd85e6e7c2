package entitytest

import "time"

//go:generate go run github.com/tinylib/msgp@v1.6.0 -io=false -tests=false

// The types of this file are written as msgp's documentation shows them. In each, the codecs
// msgp and msgpack disagree about something.

// OldTime writes its time as an extension that only msgp knows.
type OldTime struct{ At time.Time }

// Renamed has a name that only msgp sees, and a field that only msgp leaves out.
type Renamed struct {
	ID   int64  `msg:"id"`
	Note string `msg:"-"`
}

// NotNil cannot be read by msgp where it is nil.
type NotNil struct {
	List  []string
	Map   map[string]string
	Bytes []byte
}

// NotNilWithin cannot be read by msgp where something is nil within its list or its map, either.
type NotNilWithin struct {
	Lists [][]int          `msgpack:",allownil"`
	Map   map[string][]int `msgpack:",allownil"`
}

// Embedding has the fields of Base below its name.
type Embedding struct{ Base }

// Dynamic holds values of any type.
type Dynamic struct{ Value any }
