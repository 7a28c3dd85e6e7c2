package cache

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

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
	doubts   *doubt.Set // of the local level
	fences   fences
	leases   leases
	own      *ownWrites // what was written, to tell it from what others change; nil: nobody asks

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
	if o.fence && r.exists() {
		r.fences.store, _ = o.remote.(remote.Fencer)
		r.fences.maxLoad = o.maxLoad
		r.fences.counter, _ = handler.(stats.FenceCounter)
	}
	if o.leaseTTL > 0 && r.exists() {
		r.leases.store, _ = o.remote.(remote.Leaser)
		r.leases.ttl = o.leaseTTL
	}
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
	data  []byte        // not to be changed
	left  time.Duration // the bound of a local copy
	asked *doubt.Phase  // when the remote was asked
}

func (r *remoteLevel) value(v remote.Value, asked time.Time, phase *doubt.Phase) remoteValue {
	rv := remoteValue{data: bytesOf(v.Data), asked: phase}
	if v.TTL > 0 {
		// The remote read its clock at some time after asked; zero would mean no bound.
		if rv.left = v.TTL - time.Since(asked); rv.left <= 0 {
			rv.left = -1
		}
	}
	return rv
}

func (r *remoteLevel) untimed(data string, phase *doubt.Phase) remoteValue {
	rv := remoteValue{data: bytesOf(data), left: r.valueTTL, asked: phase}
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
	if err := r.fences.repairs.distrusts(key); err != nil {
		return remoteValue{}, false, err
	}
	phase := r.doubts.Now()
	if timed && r.ttl != nil {
		asked := time.Now()
		var answer remote.Value
		if answer, err = r.ttl.GetWithTTL(ctx, key); err == nil {
			return r.value(answer, asked, phase), true, nil
		}
	} else {
		var answer string
		if answer, err = r.store.Get(ctx, key); err == nil {
			return r.untimed(answer, phase), true, nil
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
	phase   *doubt.Phase            // when it was asked
	timed   map[string]remote.Value // or …
	untimed map[string]any          // … of a remote that does not tell remaining lifetimes

	err        error            // of the remote
	distrusted map[string]error // keys that were not asked for
}

// get returns what the remote held of key; its lifetime is reckoned from now.
func (v *remoteValues) get(key string) (remoteValue, bool) {
	if rv, ok := v.timed[key]; ok {
		return v.r.value(rv, v.asked, v.phase), true
	}
	switch data := v.untimed[key].(type) {
	case string:
		return v.r.untimed(data, v.phase), true
	case []byte:
		return v.r.untimed(string(data), v.phase), true
	}
	return remoteValue{}, false
}

// mget returns what the remote holds of keys. With an error, it returns what it could
// read.
func (r *remoteLevel) mget(ctx context.Context, keys []string, timed bool) (v remoteValues, err error) {
	v = remoteValues{r: r, asked: time.Now(), phase: r.doubts.Now()}
	keys, v.distrusted = r.fences.repairs.sift(keys)
	switch {
	case len(keys) == 0:
	case timed && r.ttl != nil:
		v.timed, err = r.ttl.MGetWithTTL(ctx, keys...)
	default:
		v.untimed, err = r.store.MGet(ctx, keys...)
	}
	if err != nil {
		r.failed(ctx, "mget", err)
	}
	v.err = err
	if len(v.distrusted) > 0 {
		err = errors.Join(err, &remote.KeysError{Op: "get", Failed: v.distrusted})
	}
	return v, err
}

// failed returns why the remote could not answer for key, which it has not; nil if it is not
// there.
func (v *remoteValues) failed(key string) error {
	if err := v.distrusted[key]; err != nil {
		return err
	}
	var some *remote.KeysError
	if errors.As(v.err, &some) {
		return some.Failed[key]
	}
	return v.err
}

// set stores data under key for expire, if the condition holds; it reports whether it did.
func (r *remoteLevel) set(ctx context.Context, key string, data []byte, expire time.Duration, cond condition) (stored bool, err error) {
	r.own.note(key, data)
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
	for _, item := range items {
		r.own.note(item.Key, item.Data)
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
	if r.fenced() {
		return r.delFenced(ctx, []string{key})
	}
	_, err := r.store.Del(ctx, key)
	if err != nil {
		r.failed(ctx, "del", err)
	}
	return err
}

// mdel removes keys, in as few calls as the remote can.
func (r *remoteLevel) mdel(ctx context.Context, keys []string) (err error) {
	switch {
	case r.fenced():
		return r.delFenced(ctx, keys)
	case r.keys != nil:
		err = r.keys.MDel(ctx, keys...)
	default:
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
