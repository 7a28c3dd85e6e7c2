package link

import "encoding/json"

// change is a message on the channel of changes. Its JSON is that of the cache's Event, with more
// fields. So programs that publish or read events themselves can use the channel, too.
type change struct {
	CacheName string
	SourceID  string
	EventType int
	Keys      []string

	// The fields of the Link. Messages of other programs do not have them.
	Instance string `json:",omitempty"` // of the publisher
	Seq      uint64 `json:",omitempty"` // the number of the publisher's change, from 1
}

// signal is a message on the channel of signals.
type signal struct {
	SourceID string
	Instance string
	// Sent is a Seq of the publisher: this change and all earlier ones were published or given up.
	Sent uint64
	// At is when a heartbeat was sent, in nanoseconds of the publisher's own clock.
	At int64 `json:",omitempty"`
	// Leaving says that the publisher will not send any more.
	Leaving bool `json:",omitempty"`
	// Filled are keys that were stored in the remote store, and whose values others may wait for.
	Filled []string `json:",omitempty"`
}

func encode(message any) []byte {
	data, err := json.Marshal(message)
	if err != nil { // impossible: all fields are texts and numbers
		panic("link: " + err.Error())
	}
	return data
}
