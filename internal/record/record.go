// Package record holds what a cache knows of one key of one call, from the first look into a level
// to the write back. The steps of the path (internal/level, internal/fence, internal/lease,
// internal/load) pass slices of records to each other. So each step exists once, for any number of
// keys.
package record

import (
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/flight"
)

// Record is one key of one call. One goroutine at a time uses it: the caller, or the flight
// that loads the key.
type Record struct {
	// The caller sets these when it makes the record.

	Key   string
	Index int                  // of the key in its call
	Note  flight.Note[Outcome] // when the read or the load began
	If    Condition            // when the value may be stored
	// Reload is true if the stored bytes cannot be decoded. The levels are not read then.
	Reload bool

	// Ahead is not zero if the key is loaded before its value expires: a level answers only if what it
	// has lives for longer than Ahead.
	Ahead time.Duration

	// The result of a read or a load: Out, or Err if there is none. Both are zero if no level has
	// the key and nothing was loaded.

	Out Outcome
	Err error

	Got Got // what the remote level answered
	// Due is not zero if the value is to be loaded in the background, with this Ahead.
	Due time.Duration
	// Silent is why the remote is not called any more for the record: it gave no answer to a call.
	// Nobody waits for it twice.
	Silent error

	// What is to be stored, and what the remote did with it.

	Data     []byte
	Life     Lifetimes
	Phase    *doubt.Phase // of the local level when the load or the write began
	Token    Token        // of the key's fence when the load began
	Stored   Result       // what the remote did with Data, or with the key if it was to be removed
	StoreErr error        // why Stored is Failed
	Lease    string       // the token with which this node holds the key's lease; empty if it does not
	// LeaseWanted is true if Lease was given back when Data was stored, and other nodes wait for it.
	LeaseWanted bool
	// FenceLost is true if the key's fence was to be reopened, and was not closed any more.
	FenceLost bool
	Changed   bool // Data is not what the local level had

	Kept      bool          // the local level has taken Data
	Took      time.Duration // how long the loader took
	Elsewhere bool          // another node has loaded the key while this one waited
}

// Keys returns the keys of recs, in their order.
func Keys(recs []*Record) []string {
	keys := make([]string, len(recs))
	for i, r := range recs {
		keys[i] = r.Key
	}
	return keys
}

// Got is what the remote level answered for a key.
type Got struct {
	Data  []byte // must not be changed
	There bool   // the remote has the key
	Err   error  // why the remote could not answer; nil if it did
	// TTL is the lifetime that the key had left at Asked, when the remote was asked. Zero or less
	// means that the key does not expire.
	TTL     time.Duration
	Assumed bool // TTL is the longest that is possible: the store does not tell, or was not asked
	Asked   time.Time
	Phase   *doubt.Phase // of the local level when the remote was asked
}

// Bound returns how long a local copy may live from now on. It is NoBound if the key does not expire,
// and Expired if the key has expired since the remote was asked.
func (g *Got) Bound() time.Duration {
	if g.TTL <= 0 {
		return NoBound
	}
	if left := g.TTL - time.Since(g.Asked); left > 0 {
		return left
	}
	return Expired
}

// Token is what a load remembers of its key's fence. A value that the caller gave has the zero
// Token, and so has every value if the cache has no fences.
type Token struct {
	Nonce string    // empty if the fence could not be read
	Began time.Time // of the load; zero if no fence has to be checked
}

// Condition says when a value may be stored.
type Condition uint8

// The conditions of an item.
const (
	Always    Condition = iota
	IfAbsent            // SetNX
	IfPresent           // SetXX
)

// Result says what the remote did with a value.
type Result uint8

// The results of storing a value.
const (
	Failed  Result = iota // it may or may not have been stored: see StoreErr
	Stored                // it is in the remote
	Refused               // the key was changed since the load began, or that cannot be ruled out
	NotDue                // the condition of the item does not hold
)

// Outcome is what a read found or loaded. Callers may share Data and must not change it.
type Outcome struct {
	Data []byte
	Kind Kind
	From Source

	// What callers may want to know of it, as far as it is known.

	Left      time.Duration // of its TTL in the level that it is from, or is stored in; zero if it has no end
	Took      time.Duration // how long the loader took
	Stored    bool          // it is stored in the remote or, if that is not written, in the local level
	Elsewhere bool          // another node has loaded it, and this one has waited for that
	Stale     bool          // it is used beyond its TTL
}

// Kind says what an outcome is.
type Kind uint8

// The kinds of outcomes.
const (
	Miss     Kind = iota // no level has the key, and nothing was loaded
	Value                // there is a value
	NotFound             // the record does not exist
)

// Source says where an outcome comes from.
type Source uint8

// The sources of outcomes.
const (
	Nowhere Source = iota
	Local
	Remote
	Loader
)

// Read returns the outcome of reading data from a level.
func Read(data []byte, from Source) Outcome {
	if IsPlaceholder(data) {
		return Outcome{Kind: NotFound, From: from}
	}
	return Outcome{Data: data, Kind: Value, From: from}
}

// Lifetimes says how long each level keeps an entry.
type Lifetimes struct {
	Remote time.Duration // zero or less: the remote is not written
	Local  time.Duration // NoBound: as long as the store keeps its entries
}

const (
	// NoBound is the lifetime of local entries that live as long as their store keeps them.
	NoBound time.Duration = 0
	// Expired is the lifetime of an entry that must not be kept any more.
	Expired time.Duration = -1
)

// Since returns the lifetimes of a local copy that is made now, after a call that wrote the remote
// and began at began. The copy in the remote may have lived since then, so the local one gets as
// much less.
func (l Lifetimes) Since(began time.Time) Lifetimes {
	if l.Remote > 0 && l.Local > 0 {
		if l.Local -= time.Since(began); l.Local <= 0 {
			l.Local = Expired
		}
	}
	return l
}

// Placeholder is what both levels hold for a record that does not exist. It must not be changed.
var Placeholder = []byte{'*'}

// IsPlaceholder reports whether stored bytes say that the record does not exist.
func IsPlaceholder(data []byte) bool { return len(data) == 1 && data[0] == '*' }
