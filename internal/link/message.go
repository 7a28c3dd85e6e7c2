package link

import (
	"encoding/json"
	"strconv"
	"strings"
)

// change is a message on the channel of changes. Its JSON is that of the cache's Event, with more
// fields. So programs that publish or read events themselves can use the channel, too.
type change struct {
	CacheName string
	SourceID  string
	EventType int
	Keys      []string

	// The fields of the Link. Messages of other programs do not have them.

	Instance string `json:",omitempty"` // of the publisher
	// Seq is the number of the publisher's change, from 1. Only nodes without tokens need it.
	Seq uint64 `json:",omitempty"`
	// Token is the token of the message, which the bus has added.
	Token string `json:",omitempty"`
}

// signal is a message on the channel of signals.
type signal struct {
	SourceID string
	Instance string
	// Sent is a Seq of the publisher: this change and all earlier ones were published or given up.
	Sent uint64
	// At is when a heartbeat was sent, in nanoseconds of the publisher's own clock.
	At int64 `json:",omitempty"`
	// Leaving says that the publisher sends no more heartbeats and no more Seqs.
	Leaving bool `json:",omitempty"`
	// Filled are keys that were stored in the remote store, and whose values others may wait for.
	Filled []string `json:",omitempty"`
	// Tokens says that the messages of the publisher have tokens. Nodes with tokens do not expect
	// heartbeats of it.
	Tokens bool `json:",omitempty"`
}

func encode(message any) []byte {
	data, err := json.Marshal(message)
	if err != nil { // impossible: all fields are texts and numbers
		panic("link: " + err.Error())
	}
	return data
}

// token is the token of a message. See remote.Sequencer.
type token struct {
	number uint64
	nonce  string // empty if there is no token
}

// parseToken returns the parts of a token, or the zero token if text is none.
func parseToken(text string) token {
	digits, nonce, _ := strings.Cut(text, ".")
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return token{}
	}
	return token{number, nonce}
}
