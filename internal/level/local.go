// Package level holds the two levels of a cache: the local store and the remote one. Every call
// of a Local or a Remote that a cache makes goes through here, where its failure is counted and
// logged.
package level

import (
	"bytes"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/local"
)

// Local is the store within the process. Its methods may be called concurrently, except that a key
// is set by one caller at a time.
type Local struct {
	store   local.Local         // nil if there is none
	ttl     local.TTLSetter     // nil if entries have no TTLs of their own
	entries local.EntryGetter   // nil if the store keeps bytes alone
	replace local.EntryReplacer // nil if entries stay where they are
	keeper  local.StaleKeeper   // nil if entries do not outlive their TTL
	dated   local.Dated         // nil if the store does not tell how old its entries are
	keeps   atomic.Bool         // see KeepStale
	borrows bool                // reads do not keep the key that they are given

	// Doubts says which entries may be out of date. If it is nil, none ever is. Set it before the
	// first use.
	Doubts *doubt.Set
	// Kept is called with each key that is stored, unless it is nil. Set it before the first use.
	Kept func(key string)
}

// NewLocal returns the level over store, which may be nil.
func NewLocal(store local.Local) *Local {
	l := &Local{store: store}
	l.ttl, _ = store.(local.TTLSetter)
	l.dated, _ = store.(local.Dated)
	// A type that embeds one of our stores and has a Get of its own also has the GetEntry of the
	// embedded store, which must not be called: it does not call the outer Get.
	if g, ok := store.(local.EntryGetter); ok && reflect.TypeOf(g.EntriesOf()) == reflect.TypeOf(store) {
		l.entries, l.borrows = g, true
		l.replace, _ = store.(local.EntryReplacer)
	}
	if k, ok := store.(local.StaleKeeper); ok && reflect.TypeOf(k.KeeperOf()) == reflect.TypeOf(store) {
		l.keeper = k
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

// Borrows reports whether reads of the store do not keep the key that they are given. Then the caller
// may use the key's memory again.
func (l *Local) Borrows() bool { return l.borrows }

// KeepStale makes the level keep entries beyond their TTL from now on, if the store can. Without it,
// SetWithLife ignores the times before and after the TTL, and misses cost no second look.
func (l *Local) KeepStale() {
	if !l.keeps.Load() { // most often it is
		l.keeps.Store(l.keeper != nil)
	}
}

// KeepsStale reports whether entries outlive their TTL.
func (l *Local) KeepsStale() bool { return l.keeps.Load() }

// Get returns what the store has under key, also if its early time has begun, unless it is stale or in
// doubt.
func (l *Local) Get(key string) ([]byte, bool) {
	if l.store == nil || l.Doubts.Has(key) {
		return nil, false
	}
	return l.fresh(key)
}

// GetUnlessEarly is Get for a caller that looks at the life of an entry whose early time has begun.
func (l *Local) GetUnlessEarly(key string) ([]byte, bool) {
	if l.store == nil || l.Doubts.Has(key) {
		return nil, false
	}
	return l.store.Get(key)
}

// fresh returns what the store has under key, unless it is stale.
func (l *Local) fresh(key string) ([]byte, bool) {
	if data, ok := l.store.Get(key); ok || !l.KeepsStale() {
		return data, ok
	}
	if lived, ok := l.keeper.GetWithLife(key); ok && lived.Left > 0 {
		return lived.Data, true
	}
	return nil, false
}

// Lived returns what the store has under key, fresh or stale, and what of its life has passed. It
// returns false if the entry is in doubt, and if KeepsStale reports false.
func (l *Local) Lived(key string) (local.Lived, bool) {
	if !l.KeepsStale() || l.Doubts.Has(key) {
		return local.Lived{}, false
	}
	return l.keeper.GetWithLife(key)
}

// Life returns what the store has under key, and what of its life has passed, also if it is in doubt. It
// returns false if the store does not know.
func (l *Local) Life(key string) (local.Lived, bool) {
	if l.keeper == nil {
		return local.Lived{}, false
	}
	return l.keeper.GetWithLife(key)
}

// DoubtedLived is Lived for an entry that is in doubt. A read may use it if the remote cannot answer.
func (l *Local) DoubtedLived(key string) (local.Lived, bool) {
	if !l.KeepsStale() || !l.Doubts.Has(key) {
		return local.Lived{}, false
	}
	return l.keeper.GetWithLife(key)
}

// Entry is GetUnlessEarly for the whole entry. Call it only if KeepsValues reports true.
func (l *Local) Entry(key string) (*local.Entry, bool) {
	if l.Doubts.Has(key) {
		return nil, false
	}
	return l.entries.GetEntry(key)
}

// Doubted returns what the store has under key if it is in doubt. A read may use it if the remote
// cannot answer.
func (l *Local) Doubted(key string) ([]byte, bool) {
	if l.store == nil || !l.Doubts.Has(key) {
		return nil, false
	}
	return l.fresh(key)
}

// Holds reports whether the level has data under key, and it is not in doubt.
func (l *Local) Holds(key string, data []byte) bool {
	old, ok := l.Get(key)
	return ok && bytes.Equal(old, data)
}

// Set stores data under key for bound at most. A store without TTLs keeps it for longer. phase is the
// one in which the data was asked for. If bound is record.Expired, or if a gap came since the data
// was asked for, Set removes the key instead: the data could replace a newer value.
func (l *Local) Set(key string, data []byte, bound time.Duration, phase *doubt.Phase) {
	l.SetWithLife(key, data, local.Life{TTL: bound}, phase)
}

// SetWithLife is Set for an entry with the times of life, whose TTL is the bound. The other times have
// no effect if KeepsStale reports false.
func (l *Local) SetWithLife(key string, data []byte, life local.Life, phase *doubt.Phase) {
	switch {
	case l.store == nil:
		return
	case life.TTL < 0, !l.Doubts.Is(phase):
		l.store.Del(key)
		return
	case l.KeepsStale() && (life.Stale > 0 || life.Early > 0 || !life.Loaded.IsZero()):
		l.keeper.SetWithLife(key, data, life)
	case life.TTL == record.NoBound || l.ttl == nil:
		l.store.Set(key, data)
	default:
		l.ttl.SetWithTTL(key, data, life.TTL)
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

// Memoize keeps a decoded value beside the bytes of e, which is the entry of key. If the store can
// replace entries, it puts renewed in the place of e: renewed lies beside the value in memory, so hits
// are faster. Otherwise renewed is not used.
func (l *Local) Memoize(key string, e, renewed *local.Entry, k *local.Kept) {
	if l.replace == nil {
		e.Keep(k)
		return
	}
	renewed.Become(e, k)
	// The caller may use the memory of key again.
	l.replace.ReplaceEntry(strings.Clone(key), e, renewed)
}

// NoneBefore returns a time t: the store has no entry that was stored before t. known is false if
// the store cannot tell.
func (l *Local) NoneBefore() (t time.Time, known bool) {
	if l.dated == nil {
		return time.Time{}, false
	}
	return l.dated.NoneBefore(), true
}
