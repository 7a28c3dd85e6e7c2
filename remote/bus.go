package remote

import "context"

// Bus carries messages between the nodes of a fleet: a cache tells the others by it of what
// has changed. The adapter for go-redis is one, by Redis' own pub/sub; an implementation for
// another system (NATS, Kafka …) is given to a cache by WithSyncBus. It may lose messages, but
// must not hide that from Subscribe.
type Bus interface {
	// Publish sends message to all subscribers of channel. It returns when the bus has taken
	// it: a subscriber that is ready gets it, unless its subscription breaks.
	Publish(ctx context.Context, channel string, message []byte) error
	// Subscribe calls receive for each message of channels, one at a time and, of one
	// publisher that waits for each Publish, in order. It calls ready once, from when on no
	// message is missed. It returns when ctx ends, and with an error as soon as messages may
	// have been missed: it never reconnects by itself. receive must not keep message.
	Subscribe(ctx context.Context, channels []string, ready func(), receive func(channel string, message []byte)) error
}

// Tracker is an optional ability of a Remote: to hear from the store itself which keys have
// changed, whoever has changed them.
type Tracker interface {
	// Track calls changed for the keys that were written, were removed or have expired, of
	// those that begin with one of prefixes (none: of all keys), also for those that this
	// process has written; nil means all keys. It calls ready once, from when on no change
	// is missed. It returns when ctx ends, and with an error as soon as changes may have been
	// missed: it never reconnects by itself. An error that wraps ErrUnsupported will not go
	// away by trying again. changed must not keep keys.
	Track(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error
}
