package link

import "encoding/json"

// change is a message on the channel of changes: the JSON of an Event of the cache, so that
// programs which publish and read events by hand understand it, and are understood.
type change struct {
	CacheName string
	SourceID  string
	EventType int
	Keys      []string

	// What follows is of the Link alone, and missing in messages that are written by hand.
	Instance string `json:",omitempty"` // of the Link that publishes
	Seq      uint64 `json:",omitempty"` // counts its messages, from 1
}

// signal is a message on the channel of signals.
type signal struct {
	SourceID string
	Instance string
	// Sent is the Seq of the newest change that the bus has taken, with all before it.
	Sent uint64
	// At is when a heartbeat was sent, in nanoseconds by its node's own clock.
	At int64 `json:",omitempty"`
	// Leaving says that this node will not be heard any more.
	Leaving bool `json:",omitempty"`
	// Filled are keys that others wait for and that have been stored.
	Filled []string `json:",omitempty"`
}

func encode(message any) []byte {
	data, err := json.Marshal(message)
	if err != nil { // there is nothing in it that could fail
		panic("link: " + err.Error())
	}
	return data
}
