// Package record holds what a cache knows of one key of one call while the key travels
// through the levels, the loader and the policies. The steps of the path (internal/level,
// internal/fence, internal/lease, internal/load) pass records on to each other, so that each
// step exists once, for any number of keys.
package record

import (
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/flight"
)

// Record is one key of one call. One goroutine at a time uses it: the caller, or the flight
// that loads the key.
type Record struct {
	// Set by the call that makes the record.

	Key   string
	Index int                  // of the key in its call
	Note  flight.Note[Outcome] // when the read or the load began
	If    Condition            // when the value may be stored
	// Reload is true if the stored bytes cannot be decoded. The levels are not read then.
	Reload bool

	// The result of a read or a load: Out, or Err if there is none. A value that cannot be
	// stored comes with both.

	Out Outcome
	Err error

	// Set by the remote level.

	Got Got

	// What is to be stored, and what became of it.

	Data     []byte
	Life     Lifetimes
	Phase    *doubt.Phase // of the local level when the load or the write began
	Token    Token        // of the key's fence when the load began
	Stored   Result       // what the remote did with Data
	StoreErr error        // why Stored is Failed; also why the remote could not remove the key
	Changed  bool         // Data is not what the local level had
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
	// TTL is what remained of the key's lifetime when the remote was asked, at Asked. Zero or
	// less means that the key does not expire.
	TTL   time.Duration
	Asked time.Time
	Phase *doubt.Phase // of the local level when the remote was asked
}

// Bound returns how long a local copy may live from now on.
func (g *Got) Bound() time.Duration {
	if g.TTL <= 0 {
		return NoBound
	}
	if left := g.TTL - time.Since(g.Asked); left > 0 {
		return left
	}
	return Expired
}

// Token is what a load remembers of its key's fence. The zero Token is that of a value that
// was given, and of a key without a fence.
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
	NotDue                // the condition does not hold
)

// Outcome is what a flight found or loaded. Its callers share Data and must not change it.
type Outcome struct {
	Data []byte
	Kind Kind
	From Source
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
	// Expired is the lifetime of what must not be kept any more.
	Expired time.Duration = -1
)

// Since returns the lifetimes after the remote was written by a call that began at began: its
// clock runs from then on, so the local copy may live for less.
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
