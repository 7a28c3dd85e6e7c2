package remote

import (
	"context"
	"time"
)

// Presence is an optional ability of a Sequencer: a channel has members, which renew their
// membership again and again. When one dies, all nodes notice a gap on the channel. Nodes that change
// keys in one call, and publish the message in another one, are members: a node that dies between the
// two would leave nothing else to notice. Nodes whose changes carry their messages (Carrier) need not
// be members. Without this ability, the death of such a node is not noticed. The methods may be called
// concurrently. Their errors wrap ErrUnsupported if the channel, the client or the server cannot have
// members; then the nodes send heartbeats to each other.
type Presence interface {
	// Attend is Tokens that first makes members present for ttl, in the same round trip. It removes
	// each member of these channels that was not renewed within its ttl. If there was one on a channel,
	// or if a staying member was not there any more, it leaves out a number of the channel, as
	// PublishNext without messages does. The times are by one clock, which is not that of the caller.
	// The tokens are in the order of the attendances.
	Attend(ctx context.Context, ttl time.Duration, attendances ...Attendance) (tokens []string, err error)
	// Leave removes members of a channel that have nothing more to publish. No number is left out. A
	// member that is not there is no error.
	Leave(ctx context.Context, channel string, members ...string) error
}

// Attendance names members of a channel. Without members, Attend only looks for those that were not
// renewed.
type Attendance struct {
	Channel string
	Joining []string // members that may be new
	Staying []string // members that were renewed less than their ttl ago; they should still be there
}
