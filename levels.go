package cache

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"
	"unsafe"

	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// localLevel is the store within the process. All local calls go through it.
type localLevel struct {
	store   local.Local         // nil: there is none
	ttl     local.TTLSetter     // nil: the store has no TTLs per entry
	entries local.EntryGetter   // nil: the store keeps bytes alone
	replace local.EntryReplacer // nil: an entry is where it is
	borrows bool                // a read does not keep the key it is given
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

func (l *localLevel) get(key string) ([]byte, bool) {
	if l.store == nil {
		return nil, false
	}
	return l.store.Get(key)
}

// noBound is the bound of entries that live as long as the store keeps them.
const noBound time.Duration = 0

// set stores data for bound at most. A bound below zero has run out already.
func (l *localLevel) set(key string, data []byte, bound time.Duration) {
	switch {
	case l.store == nil:
	case bound < 0:
		l.store.Del(key)
	case bound == noBound || l.ttl == nil:
		l.store.Set(key, data)
	default:
		l.ttl.SetWithTTL(key, data, bound)
	}
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

// remoteLevel is the store that the fleet shares. All remote calls go through it: it
// counts and logs their failures.
type remoteLevel struct {
	store    remote.Remote      // nil: there is none
	ttl      remote.TTLGetter   // nil: the store does not tell remaining lifetimes
	items    remote.ItemSetter  // nil: batches have one lifetime
	keys     remote.KeysDeleter // nil: keys are removed one by one
	name     string             // of the cache
	errs     stats.RemoteErrorCounter
	troubles limit.Limiter

	// What a key is taken to have left where the store does not tell.
	valueTTL, placeholderTTL time.Duration
}

// troubleInterval is how often failures of the remote are logged.
const troubleInterval = 10 * time.Second

func (r *remoteLevel) init(o *options, handler stats.Handler) {
	r.store, r.name = o.remote, o.name
	r.ttl, _ = o.remote.(remote.TTLGetter)
	r.items, _ = o.remote.(remote.ItemSetter)
	r.keys, _ = o.remote.(remote.KeysDeleter)
	r.errs, _ = handler.(stats.RemoteErrorCounter)
	r.troubles.Interval = troubleInterval
	r.valueTTL, r.placeholderTTL = o.remoteExpiry, o.notFoundExpiry
}

func (r *remoteLevel) exists() bool { return r.store != nil }

// failed counts and logs the failure of a call; one that ended because its caller gave
// up is none of the remote's.
func (r *remoteLevel) failed(ctx context.Context, op string, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if r.errs != nil {
		r.errs.IncrRemoteError(op, err)
	}
	if held, ok := r.troubles.Allow(); ok {
		logger.Warn("cache %s: the remote failed: %s: %v (%d more failures since the last such line)", r.name, op, err, held)
	}
}

// remoteValue is what the remote holds of a key.
type remoteValue struct {
	data []byte        // not to be changed
	left time.Duration // the bound of a local copy
}

func (r *remoteLevel) value(v remote.Value, asked time.Time) remoteValue {
	rv := remoteValue{data: bytesOf(v.Data)}
	if v.TTL > 0 {
		// The remote read its clock at some time after asked; zero would mean no bound.
		if rv.left = v.TTL - time.Since(asked); rv.left <= 0 {
			rv.left = -1
		}
	}
	return rv
}

func (r *remoteLevel) untimed(data string) remoteValue {
	rv := remoteValue{data: bytesOf(data), left: r.valueTTL}
	if isPlaceholder(rv.data) {
		rv.left = r.placeholderTTL
	}
	return rv
}

// bytesOf returns s as bytes without a copy; they are not to be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// get returns what the remote holds of key; found is false on a miss and on an error.
// Without timed, the result has no use for a local copy.
func (r *remoteLevel) get(ctx context.Context, key string, timed bool) (v remoteValue, found bool, err error) {
	if timed && r.ttl != nil {
		asked := time.Now()
		var answer remote.Value
		if answer, err = r.ttl.GetWithTTL(ctx, key); err == nil {
			return r.value(answer, asked), true, nil
		}
	} else {
		var answer string
		if answer, err = r.store.Get(ctx, key); err == nil {
			return r.untimed(answer), true, nil
		}
	}
	if errors.Is(err, r.store.Nil()) {
		return remoteValue{}, false, nil
	}
	r.failed(ctx, "get", err)
	return remoteValue{}, false, err
}

// remoteValues is what the remote holds of many keys.
type remoteValues struct {
	r       *remoteLevel
	asked   time.Time
	timed   map[string]remote.Value // or …
	untimed map[string]any          // … of a remote that does not tell remaining lifetimes
}

// get returns what the remote held of key; its lifetime is reckoned from now.
func (v *remoteValues) get(key string) (remoteValue, bool) {
	if rv, ok := v.timed[key]; ok {
		return v.r.value(rv, v.asked), true
	}
	switch data := v.untimed[key].(type) {
	case string:
		return v.r.untimed(data), true
	case []byte:
		return v.r.untimed(string(data)), true
	}
	return remoteValue{}, false
}

// mget returns what the remote holds of keys. With an error, it returns what it could
// read.
func (r *remoteLevel) mget(ctx context.Context, keys []string, timed bool) (v remoteValues, err error) {
	v = remoteValues{r: r, asked: time.Now()}
	if timed && r.ttl != nil {
		v.timed, err = r.ttl.MGetWithTTL(ctx, keys...)
	} else {
		v.untimed, err = r.store.MGet(ctx, keys...)
	}
	if err != nil {
		r.failed(ctx, "mget", err)
	}
	return v, err
}

// set stores data under key for expire, if the condition holds; it reports whether it did.
func (r *remoteLevel) set(ctx context.Context, key string, data []byte, expire time.Duration, cond condition) (stored bool, err error) {
	switch cond {
	case ifAbsent:
		stored, err = r.store.SetNX(ctx, key, data, expire)
	case ifPresent:
		stored, err = r.store.SetXX(ctx, key, data, expire)
	default:
		err = r.store.SetEX(ctx, key, data, expire)
		stored = err == nil
	}
	if err != nil {
		r.failed(ctx, "set", err)
		return false, err
	}
	return stored, nil
}

// mset stores each item, in as few calls as the remote can.
func (r *remoteLevel) mset(ctx context.Context, items []remote.Item) (err error) {
	if len(items) == 0 {
		return nil
	}
	if r.items != nil {
		err = r.items.MSetItems(ctx, items...)
	} else {
		byExpire := make(map[time.Duration]map[string]any)
		for _, item := range items {
			if byExpire[item.Expire] == nil {
				byExpire[item.Expire] = make(map[string]any)
			}
			byExpire[item.Expire][item.Key] = item.Data
		}
		for expire, values := range byExpire {
			err = errors.Join(err, r.store.MSet(ctx, values, expire))
		}
	}
	if err != nil {
		r.failed(ctx, "mset", err)
	}
	return err
}

func (r *remoteLevel) del(ctx context.Context, key string) error {
	_, err := r.store.Del(ctx, key)
	if err != nil {
		r.failed(ctx, "del", err)
	}
	return err
}

// mdel removes keys, in as few calls as the remote can.
func (r *remoteLevel) mdel(ctx context.Context, keys []string) (err error) {
	if r.keys != nil {
		err = r.keys.MDel(ctx, keys...)
	} else {
		for _, key := range keys {
			_, failed := r.store.Del(ctx, key)
			if err = errors.Join(err, failed); failed != nil && ctx.Err() != nil {
				break // the others would fail alike
			}
		}
	}
	if err != nil {
		r.failed(ctx, "mdel", err)
	}
	return err
}
