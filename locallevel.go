package cache

import (
	"reflect"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/local"
)

// localLevel is the store within the process. All local calls go through it.
type localLevel struct {
	store   local.Local         // nil: there is none
	ttl     local.TTLSetter     // nil: the store has no TTLs per entry
	entries local.EntryGetter   // nil: the store keeps bytes alone
	replace local.EntryReplacer // nil: an entry is where it is
	borrows bool                // a read does not keep the key it is given
	doubts  *doubt.Set          // what may be out of date; nil: nothing ever is

	coverage *coverage // the keys whose changes are heard of; nil: all, or none
}

func newLocalLevel(store local.Local) localLevel {
	l := localLevel{store: store}
	l.ttl, _ = store.(local.TTLSetter)
	if g, ok := store.(local.EntryGetter); ok && reflect.TypeOf(g.EntriesOf()) == reflect.TypeOf(store) {
		l.entries, l.borrows = g, true
		l.replace, _ = store.(local.EntryReplacer)
	}
	if _, ok := store.(*local.FreeCache); ok {
		l.borrows = true
	}
	return l
}

func (l *localLevel) exists() bool { return l.store != nil }

// get returns what the store has of key, but for what is in doubt.
func (l *localLevel) get(key string) ([]byte, bool) {
	if l.store == nil || l.doubts.Has(key) {
		return nil, false
	}
	return l.store.Get(key)
}

// getEntry is get for a store that keeps entries.
func (l *localLevel) getEntry(key string) (*local.Entry, bool) {
	if l.doubts.Has(key) {
		return nil, false
	}
	return l.entries.GetEntry(key)
}

// getDoubted returns what the store has of key if it is in doubt: what to answer with when
// the remote cannot.
func (l *localLevel) getDoubted(key string) ([]byte, bool) {
	if l.store == nil || !l.doubts.Has(key) {
		return nil, false
	}
	return l.store.Get(key)
}

// noBound is the bound of entries that live as long as the store keeps them.
const noBound time.Duration = 0

// set stores data, which was asked for in a phase of doubts, for bound at most. A bound below
// zero has run out already. What was asked for in an earlier phase is not stored: it could take
// the place of what is known to be newer. Who calls set for one key does so one at a time.
func (l *localLevel) set(key string, data []byte, bound time.Duration, asked *doubt.Phase) {
	switch {
	case l.store == nil:
	case bound < 0, !l.doubts.Is(asked):
		l.store.Del(key)
	case bound == noBound || l.ttl == nil:
		l.store.Set(key, data)
	default:
		l.ttl.SetWithTTL(key, data, bound)
	}
	asked.Stored(key)
	l.coverage.check(key)
}

// keep leaves a decoded value in the key's entry e, or puts renewed, an entry that has it, in
// the place of e.
func (l *localLevel) keep(key string, e, renewed *local.Entry, k *local.Kept) {
	if l.replace == nil {
		e.Keep(k)
		return
	}
	renewed.Become(e, k)
	// The caller's key may be in memory that is used again.
	l.replace.ReplaceEntry(strings.Clone(key), e, renewed)
}

func (l *localLevel) del(key string) {
	if l.store != nil {
		l.store.Del(key)
	}
}
