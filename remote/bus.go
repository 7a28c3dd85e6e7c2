package remote

import "context"

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
