package remote

import (
	"context"
	"time"
)

// Fencer is an optional ability of a Remote: fences, which keep a load from storing a stale value.
//
// A fence is a key beside another key, at FenceKey, which holds a random nonce. Every change of the
// key renews the nonce. A load notes the nonce when it begins, and its value is stored only if the
// fence still holds that nonce: if it does not, the key was changed on some node since. A fence
// expires after the ttl that it was last given. If the fence is gone, the value of the load is not
// stored either.
//
// Each operation on one key is atomic. An operation on many keys takes few round trips. If it fails
// for some keys, it is done for the others, and the error is a *KeysError. For a key that can have
// no fence, the error wraps ErrNoSibling. There are always as many results as keys or items, in the
// same order. A ttl must be above zero, is exact to the millisecond, and may be very long. The
// methods may be called concurrently.
type Fencer interface {
	// OpenFences returns the nonces of the fences of keys, for loads that are about to begin. If a
	// key has no fence, it gets one, which lives for ttl. If its fence has less than ttl left, the
	// fence lives for ttl from now on, unless it is closed. A nonce that begins with "!" is that of
	// a closed fence: a value that is loaded now must not be stored. For a key that failed, the
	// nonce is empty.
	OpenFences(ctx context.Context, ttl time.Duration, keys ...string) (nonces []string, err error)
	// SetFenced stores items, and returns the outcome of each: FenceUnknown only for items that
	// failed. Fences that are renewed live for ttl.
	SetFenced(ctx context.Context, ttl time.Duration, items ...FencedItem) ([]FenceOutcome, error)
	// DelFenced removes keys and renews their fences, which live for ttl then. It does not renew a
	// closed fence.
	DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error
	// CloseFences removes keys and closes their fences under token, a text that is not empty and
	// contains none of "!", "," and ";". The fence is closed until ReopenFences is called with the
	// token, or until ttl has passed. A fence can be closed under several tokens; then the longest
	// ttl counts. Nothing else makes a closed fence live longer. So the fence that a dead process
	// has closed opens by itself, however often the key is used.
	CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error
	// ReopenFences removes keys and undoes the CloseFences with token. If the fence is not closed
	// under another token, it gets a fresh nonce and lives for ttl. If the fence was not closed under
	// token, ReopenFences does the same, and the error of the key is ErrFenceLost.
	ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error
}

// FencedItem is an item to store, and the conditions under which it is stored.
type FencedItem struct {
	Item
	// Nonce is the nonce that the key's fence must hold. If it is empty, the fence does not matter.
	// The nonce of a closed fence never fits.
	Nonce string
	// Renew makes a stored item renew the key's fence, unless the fence is closed.
	Renew bool
	// IfAbsent stores the item only if the key is absent, IfPresent only if it is present. Both
	// together are an error.
	IfAbsent, IfPresent bool
	// Lease is a token that holds the key's lease. If it is not empty, and the item is stored, the
	// same step releases the lease, and the outcome is FenceReleased or FenceWanted. A Remote that
	// does not do so stores the item, and the outcome is FenceStored. Then use ReleaseLeases.
	Lease string
}

// FenceOutcome says what happened to a FencedItem.
type FenceOutcome uint8

// The outcomes of a FencedItem.
const (
	FenceUnknown   FenceOutcome = iota // it failed; the error says why
	FenceStored                        // it was stored
	FenceChanged                       // it was refused: the fence does not hold the nonce
	FenceCondition                     // it was refused by IfAbsent or IfPresent
	FenceReleased                      // it was stored, and the lease was released
	FenceWanted                        // it was stored, and the lease was released, which another token has asked for
)

// Leaser is an optional ability of a Remote: leases, by which the nodes of a fleet agree which of
// them loads a key. A lease is a key beside another key, at LeaseKey. What Fencer says of many
// keys, of errors, of ttls and of concurrent calls is true here, too.
type Leaser interface {
	// AcquireLeases asks for leases, which live for ttl. The answers are in the order of asks. If
	// the key is present, there is no lease to win. A token that holds the lease wins it again,
	// without more time. For a key that failed, the answer is LeaseUnknown.
	AcquireLeases(ctx context.Context, ttl time.Duration, asks ...LeaseAsk) ([]LeaseAnswer, error)
	// ReleaseLeases releases the leases that their token still holds. wanted reports, for each,
	// whether another token has asked for the lease since it was won. If the Failure of an end is
	// not empty and the lease is wanted, the Failure stays for ttl, or until the lease is won
	// again, for those who await this token. If NotStored is set and the lease is wanted, that
	// stays for those who await this token: for ttl, and, if another token wins the lease within
	// this time, as long as that token holds the lease. A store that does not know NotStored only
	// releases the lease: then the nodes that wait load one after another.
	ReleaseLeases(ctx context.Context, ttl time.Duration, ends ...LeaseEnd) (wanted []bool, err error)
}

// LeaseAsk asks for the lease of a key.
type LeaseAsk struct {
	Key   string
	Token string // of the caller: a fresh random text for each attempt, not empty and without ":"
	// Awaited is the Holder of an earlier answer, whose load the caller waits for; empty if there
	// is none.
	Awaited string
	// FenceTTL opens the key's fence for this lifetime if the lease is won, in the same step, as
	// OpenFences does. Zero leaves the fence alone. A Remote that does not do so returns an answer
	// without a Nonce. Then use OpenFences.
	FenceTTL time.Duration
}

// LeaseAnswer is the answer to a LeaseAsk.
type LeaseAnswer struct {
	State   LeaseState
	Holder  string // for LeaseHeld: the token that holds the lease
	Failure string // for LeaseFailed: why Awaited has stored nothing
	Nonce   string // for LeaseWon, if the ask had a FenceTTL: the nonce of the key's fence
}

// LeaseState says who has a lease.
type LeaseState uint8

// The states of a lease.
const (
	LeaseUnknown   LeaseState = iota // it failed; the error says why
	LeaseWon                         // the caller's token holds it
	LeaseHeld                        // another token holds it
	LeaseFailed                      // the awaited token has released it with a Failure
	LeaseStored                      // nobody needs it: the key is present
	LeaseNotStored                   // the awaited token has released it with NotStored: load without a lease
)

// LeaseEnd releases the lease of a key.
type LeaseEnd struct {
	Key, Token string
	Failure    string // why nothing was loaded; empty if the value was loaded, or if others may try
	// NotStored says that the value was loaded, and that it is not in the remote. Those who wait
	// for this token need not wait for each other then: each loads at once. It has no effect
	// with a Failure.
	NotStored bool
}
