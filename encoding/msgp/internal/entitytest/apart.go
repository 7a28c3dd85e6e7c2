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

// NotNil has fields that msgp cannot read if they are nil.
type NotNil struct {
	List  []string
	Map   map[string]string
	Bytes []byte
}

// NotNilWithin has fields that msgp cannot read if something in them is nil.
type NotNilWithin struct {
	Lists [][]int          `msgpack:",allownil"`
	Map   map[string][]int `msgpack:",allownil"`
}

// Embedding has the fields of Base below its name.
type Embedding struct{ Base }

// Dynamic holds values of any type.
type Dynamic struct{ Value any }
