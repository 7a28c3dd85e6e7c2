package remote

import (
	"context"
	"reflect"
)

// Bus carries messages between the nodes of a fleet. A cache publishes on it which keys have
// changed. The adapter for go-redis is a Bus, by the pub/sub of Redis. To use another message
// system, such as NATS or Kafka, implement Bus and give it to WithSyncBus. A Bus may lose messages,
// but Subscribe must notice it. Its methods may be called concurrently.
type Bus interface {
	// Publish sends message to all subscribers of channel. It returns when the bus has taken the
	// message. A subscriber that is ready then gets it, unless its subscription breaks. Publish
	// returns an error when ctx ends.
	Publish(ctx context.Context, channel string, message []byte) error
	// Subscribe calls receive for each message on channels: one call at a time, and in order for
	// the messages of a publisher that waits for each Publish. It calls ready once; from then on
	// no message is lost. It returns when ctx ends. It returns an error as soon as messages may
	// have been lost, and never reconnects by itself. receive must not keep message.
	Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error
}

// Sequencer is an optional ability of a Bus: each of its channels has a token, a number and a nonce.
// A message that is published with the next token tells its receivers whether they have missed one
// before it, and the newest token tells whether they have missed the last one. Without it, the nodes
// find that out by heartbeats, which each node sends to each other. The methods may be called
// concurrently. Their errors wrap ErrUnsupported if the channel, the client or the server cannot
// have tokens.
//
// A token is a text: a number, ".", and a nonce of letters and digits. The number is below 10^14 and
// grows by one with each message. The nonce changes if the token was lost. A token is never used
// again.
type Sequencer interface {
	// Tokens returns the newest token of each channel. A channel without a token gets one.
	Tokens(ctx context.Context, channels ...string) ([]string, error)
	// PublishNext publishes messages on a channel, in their order and in one round trip, each with
	// the next token. A message is a JSON object with one field at least, and nothing behind its
	// "}"; it gets "Token" as its last field. Without messages, PublishNext leaves out a number, so
	// that receivers notice a gap. After an error, messages may have been published all the same.
	PublishNext(ctx context.Context, channel string, messages ...[]byte) error
	// Follow is Subscribe over one connection, with a Subscription in the call of ready. All
	// channels must be of one group. Follow does not look whether the connection still works: call
	// Sync for that.
	Follow(ctx context.Context, channels []string, ready func(Subscription), receive func(channel string, message []byte)) error
	// SequencerOf returns the Sequencer itself. A type that embeds a Sequencer has its methods, but it
	// may have a Publish or a Subscribe of its own, which PublishNext and Follow do not call. So a cache
	// uses the tokens of a Bus only if SequencerOf returns a value of the same type as the Bus. If the
	// type has the Publish and the Subscribe of the embedded one, give it a SequencerOf that returns the
	// outer value. Otherwise its nodes find missing messages by heartbeats.
	SequencerOf() Sequencer
	// Group returns a comparable value. One call of Follow can receive channels of the same group,
	// also by different Sequencers. It returns nil for a channel that can have no token.
	Group(channel string) any
}

// AsSequencer returns bus as a Sequencer. It returns nil if bus is none, or if it only embeds one: see
// SequencerOf.
func AsSequencer(bus Bus) Sequencer {
	s, ok := bus.(Sequencer)
	if !ok || reflect.TypeOf(s.SequencerOf()) != reflect.TypeOf(bus) {
		return nil
	}
	return s
}

// Subscription is a call of Follow that is ready. Its methods may be called concurrently. They
// return an error if ctx ends first or the subscription has ended.
type Subscription interface {
	// Sync returns when receive has been called, and has returned, for every message that was
	// published before Sync was called.
	Sync(ctx context.Context) error
	// Add subscribes to more channels of the group. No message on them is lost after it has
	// returned. Adding a channel again does nothing.
	Add(ctx context.Context, channels ...string) error
	// Remove ends the subscription to channels. It does not wait for that. Removing a channel
	// again does nothing.
	Remove(ctx context.Context, channels ...string) error
}

// FollowerCounter is an optional ability of a Sequencer.
type FollowerCounter interface {
	// Followers returns the number of subscriptions of each channel, of all processes.
	Followers(ctx context.Context, channels ...string) ([]int, error)
}

// Carrier is an optional ability of a Remote that is a Sequencer: a change of keys publishes an
// Announcement, in the same step.
type Carrier interface {
	// Carries reports whether changes can publish announcements on channel.
	Carries(channel string) bool
}

// Announcement is a message for other nodes that a change of keys publishes, as PublishNext does. A
// change carries the Announcement in its ctx, if the Remote is a Carrier.
type Announcement struct {
	Channel string
	Message []byte // as of PublishNext

	// The call that made the change sets these: Sent is true if the message was published, and Err
	// is why it was not.

	Sent bool
	Err  error
}

type announcementKey struct{}

// WithAnnouncement returns ctx for the call of SetFenced, DelFenced, CloseFences or ReopenFences that
// is to publish a. A Remote that cannot do so ignores it; then a.Sent stays false. If the call changes
// nothing, because it refuses all items, it publishes nothing. If a is nil, WithAnnouncement returns
// ctx.
func WithAnnouncement(ctx context.Context, a *Announcement) context.Context {
	if a == nil {
		return ctx
	}
	return context.WithValue(ctx, announcementKey{}, a)
}

// announcementIn returns the Announcement that ctx carries, nil if there is none.
func announcementIn(ctx context.Context) *Announcement {
	a, _ := ctx.Value(announcementKey{}).(*Announcement)
	return a
}

// Tracker is an optional ability of a Remote: the store itself reports which keys have changed,
// whoever has changed them.
type Tracker interface {
	// Track calls changed with keys that were written, were removed or have expired, if they begin
	// with one of prefixes. Without prefixes it reports all keys. It also reports the keys that
	// this process has written. nil in place of keys means that any key may have changed. It calls
	// ready once; from then on no change is lost. It returns when ctx ends. It returns an error as
	// soon as changes may have been lost, and never reconnects by itself. If the error wraps
	// ErrUnsupported, trying again does not help. changed must not keep keys.
	Track(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error
}
