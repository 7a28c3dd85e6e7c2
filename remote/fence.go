package remote

import (
	"context"
	"time"
)

// Fencer is an optional ability of a Remote: a fence beside each key, which holds a random
// nonce. A change of the key renews the nonce, so who has loaded a value can have it stored
// only if nothing was changed, on whatever node, since the load began. FenceKey says where the
// fence of a key is. A fence lives for the ttl that it was last given; where it is gone, nothing
// is stored for who knew it. Each operation on one key is atomic; those on many keys take few
// round trips, and no key's failure keeps the others from being handled: the error is a
// *KeysError then, which wraps ErrNoSibling where a key can have no fence. Results are always as
// many as keys or items. A ttl is above zero, exact to the millisecond.
type Fencer interface {
	// OpenFences returns the nonces of keys, in their order, for loads that are about to begin.
	// A key without a fence gets one; an open one that is there lives for ttl from now on, or for
	// longer if it would have. A nonce that begins with "!" is that of a closed fence: nothing that is
	// loaded now may be stored. With an error, the nonces that could not be had are empty.
	OpenFences(ctx context.Context, ttl time.Duration, keys ...string) (nonces []string, err error)
	// SetFenced stores items and says of each what became of it; FenceUnknown is only there
	// beside an error. ttl is that of the fences that are renewed.
	SetFenced(ctx context.Context, ttl time.Duration, items ...FencedItem) ([]FenceOutcome, error)
	// DelFenced removes keys and renews their fences, unless they are closed.
	DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error
	// CloseFences removes keys and closes their fences in the name of token, which is not empty
	// and has neither "!" nor "," in it: until ReopenFences, or for ttl, the fence stays closed.
	// Of several lifetimes the longest counts. Nothing but CloseFences makes a closed fence live
	// for longer: that of a process that has died opens by itself, whoever uses the key.
	CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error
	// ReopenFences removes keys and takes back what CloseFences did in the name of token. The
	// fence is opened, with a fresh nonce, if nobody else keeps it closed.
	ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error
}

// FencedItem is an item to store, and when.
type FencedItem struct {
	Item
	// Nonce is what the key's fence has to hold, and is never that of a closed one; empty: it
	// does not matter.
	Nonce string
	// Renew renews the key's fence, unless it is closed, if the item is stored.
	Renew bool
	// IfAbsent and IfPresent make it store only if the key is absent, or present. Both at once
	// are an error.
	IfAbsent, IfPresent bool
}

// FenceOutcome is what became of a FencedItem.
type FenceOutcome uint8

// What may become of a FencedItem.
const (
	FenceUnknown   FenceOutcome = iota // there is an error
	FenceStored                        // it was stored
	FenceChanged                       // refused: the fence does not hold the nonce
	FenceCondition                     // refused by IfAbsent or IfPresent
)

// Leaser is an optional ability of a Remote: leases, by which the nodes of a fleet agree on who
// loads a key. LeaseKey says where the lease of a key is. Many keys, errors and ttls are as with
// Fencer.
type Leaser interface {
	// AcquireLeases tries to take leases for ttl, in few round trips; the answers are in the
	// order of asks. A key that is there has no lease to take. A token that has the lease wins
	// it again, for no longer than before. With an error, the answers that could not be had are
	// LeaseUnknown.
	AcquireLeases(ctx context.Context, ttl time.Duration, asks ...LeaseAsk) ([]LeaseAnswer, error)
	// ReleaseLeases gives back leases that are still held by their token, in few round trips.
	// wanted says for each whether somebody else has asked for it meanwhile. A failure, if not
	// empty, is left for those who have, for ttl, or until another takes the lease.
	ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...LeaseEnd) (wanted []bool, err error)
}

// LeaseAsk asks for the lease of a key.
type LeaseAsk struct {
	Key   string
	Token string // of who asks: a fresh random text for each attempt, not empty and without ":"
	// Awaited is the Holder that an earlier answer named, if there was one.
	Awaited string
}

// LeaseAnswer is the answer to a LeaseAsk.
type LeaseAnswer struct {
	State   LeaseState
	Holder  string // LeaseHeld: the token of who has it
	Failure string // LeaseFailed: why Awaited had nothing to store
}

// LeaseState says who has a lease.
type LeaseState uint8

// The states of a lease.
const (
	LeaseUnknown LeaseState = iota // there is an error
	LeaseWon                       // who asked has it
	LeaseHeld                      // another has it
	LeaseFailed                    // the one that was awaited has given it back with a failure
	LeaseStored                    // nobody needs it: the key has a value
)

// LeaseEnd gives back the lease of a key.
type LeaseEnd struct {
	Key, Token string
	Failure    string // empty: the value was stored, or others may try
}
