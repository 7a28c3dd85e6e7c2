// Package level holds the two levels of a cache: the local store and the remote one. Every call
// of a Local or a Remote that a cache makes goes through here, where its failure is counted and
// logged.
package level

import (
	"bytes"
	"reflect"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/local"
)

// Local is the store within the process. Its methods may be called from any goroutine; Set, of
// one key, by one at a time.
type Local struct {
	store   local.Local         // nil if there is none
	ttl     local.TTLSetter     // nil if entries have no TTLs of their own
	entries local.EntryGetter   // nil if the store keeps bytes alone
	replace local.EntryReplacer // nil if entries stay where they are
	dated   local.Dated         // nil if the store does not tell how old its entries are
	borrows bool                // a read does not keep the key it is given

	// Doubts says which entries may be out of date. It is nil if nothing ever is. Set it before
	// the first use.
	Doubts *doubt.Set
	// Kept is told of each key that is stored, if it is not nil. Set it before the first use.
	Kept func(key string)
}

// NewLocal returns the level over store, which may be nil.
func NewLocal(store local.Local) *Local {
	l := &Local{store: store}
	l.ttl, _ = store.(local.TTLSetter)
	l.dated, _ = store.(local.Dated)
	// A type that embeds one of our stores to change its Get has the embedded GetEntry, which
	// would go past that.
	if g, ok := store.(local.EntryGetter); ok && reflect.TypeOf(g.EntriesOf()) == reflect.TypeOf(store) {
		l.entries, l.borrows = g, true
		l.replace, _ = store.(local.EntryReplacer)
	}
	if _, ok := store.(*local.FreeCache); ok {
		l.borrows = true
	}
	return l
}

// Exists reports whether there is a local level.
func (l *Local) Exists() bool { return l.store != nil }

// KeepsValues reports whether the store can keep decoded values beside the bytes.
func (l *Local) KeepsValues() bool { return l.entries != nil }

// Borrows reports whether a read of the store does not keep the key it is given.
func (l *Local) Borrows() bool { return l.borrows }

// Get returns what the store has of key, unless that is in doubt.
func (l *Local) Get(key string) ([]byte, bool) {
	if l.store == nil || l.Doubts.Has(key) {
		return nil, false
	}
	return l.store.Get(key)
}

// Entry is Get for a store that keeps decoded values.
func (l *Local) Entry(key string) (*local.Entry, bool) {
	if l.Doubts.Has(key) {
		return nil, false
	}
	return l.entries.GetEntry(key)
}

// Doubted returns what the store has of key if that is in doubt: the answer to give when the
// remote gives none.
func (l *Local) Doubted(key string) ([]byte, bool) {
	if l.store == nil || !l.Doubts.Has(key) {
		return nil, false
	}
	return l.store.Get(key)
}

// Holds reports whether the level has data under key.
func (l *Local) Holds(key string, data []byte) bool {
	old, ok := l.Get(key)
	return ok && bytes.Equal(old, data)
}

// Set stores data for bound at most; record.Expired removes the key instead. The data was asked
// for in phase. If a gap came since then, it is not stored: it could replace what is newer.
func (l *Local) Set(key string, data []byte, bound time.Duration, phase *doubt.Phase) {
	switch {
	case l.store == nil:
		return
	case bound < 0, !l.Doubts.Is(phase):
		l.store.Del(key)
	case bound == record.NoBound || l.ttl == nil:
		l.store.Set(key, data)
	default:
		l.ttl.SetWithTTL(key, data, bound)
	}
	phase.Stored(key)
	if l.Kept != nil {
		l.Kept(key)
	}
}

// Del removes key.
func (l *Local) Del(key string) {
	if l.store != nil {
		l.store.Del(key)
	}
}

// Memoize leaves a decoded value beside the bytes of the key's entry e. Where the store can have
// that, renewed, an entry that lies beside the value in memory, takes the place of e.
func (l *Local) Memoize(key string, e, renewed *local.Entry, k *local.Kept) {
	if l.replace == nil {
		e.Keep(k)
		return
	}
	renewed.Become(e, k)
	// The caller's key may be in memory that is used again.
	l.replace.ReplaceEntry(strings.Clone(key), e, renewed)
}

// NoneBefore returns a time before which nothing was stored that the store still has; known is
// false if the store does not tell.
func (l *Local) NoneBefore() (t time.Time, known bool) {
	if l.dated == nil {
		return time.Time{}, false
	}
	return l.dated.NoneBefore(), true
}
