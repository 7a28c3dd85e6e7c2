// Package stats counts what a cache does and logs the counts as one table per interval.
package stats

// Handler receives one call for each action of a cache that is counted. Implementations must be
// safe for concurrent use. They must be quick, since they are called on the path of every read.
//
// A Handler may have more abilities: RemoteErrorCounter, RefreshCounter, EventCounter,
// FenceCounter, SyncCounter and SizeCounter.
type Handler interface {
	IncrHit()                // a level answered a read, with a value or a placeholder
	IncrMiss()               // no level answered a read
	IncrLocalHit()           // the local level answered
	IncrLocalMiss()          // the local level did not have the key
	IncrRemoteHit()          // the remote level answered
	IncrRemoteMiss()         // the remote level did not have the key, or failed
	IncrQuery()              // a loader was called
	IncrQueryFail(err error) // a loader failed with err; the not-found error is no failure
}

// RemoteErrorCounter is an optional ability of a Handler. It counts the remote calls that
// failed.
type RemoteErrorCounter interface {
	// IncrRemoteError is called for each such call. op is its kind, such as "get", "set" and
	// "del".
	IncrRemoteError(op string, err error)
}

// RefreshCounter is an optional ability of a Handler. It counts what goes wrong with refreshing
// in the background, apart from loaders that fail.
type RefreshCounter interface {
	IncrRefreshTimeout() // a load did not end before its deadline
	IncrRefreshEvicted() // a key is no longer refreshed, because there were too many
}

// EventCounter is an optional ability of a Handler. It counts the keys whose events were never
// delivered, because far too many waited for the event handler.
type EventCounter interface {
	IncrEventKeysLost(n int)
}

// FenceCounter is an optional ability of a Handler. It counts the loaded values that were not
// stored, because some node had changed their keys during the load (WithFence).
type FenceCounter interface {
	IncrFillRefused(n int)
}

// SyncCounter is an optional ability of a Handler. It counts what happens on the link to the
// other nodes (WithSyncLocal, WithTracking).
type SyncCounter interface {
	IncrSyncGap() // messages may have been missed, so older local entries are in doubt
}

// SizeCounter is an optional ability of a Handler. It counts the values that were not stored because
// they are larger than WithMaxValueBytes allows.
type SizeCounter interface {
	IncrValueTooLarge()
}
