package level

import (
	"context"
	"errors"
	"maps"
	"time"
	"unsafe"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// Remote is the store that the fleet shares. Its methods may be called concurrently. They count and
// log the errors of the store, and return them. Only if Exists reports true may other methods be
// called.
type Remote struct {
	store  remote.Remote         // nil if there is none
	raw    remote.Remote         // the store without guards
	ttl    remote.TTLGetter      // nil if the store does not tell remaining lifetimes
	items  remote.ItemSetter     // nil if a batch has one lifetime
	keys   remote.KeysDeleter    // nil if keys are removed one by one
	fences remote.Fencer         // nil if the store has no fences
	leases remote.Leaser         // nil if the store has no leases
	locks  remote.CompareDeleter // nil if the store cannot give back locks

	// What Guard sets.

	timeout       time.Duration // of each call; zero if there is none
	over          error         // of calls that take longer
	heeds         bool          // the store ends its calls with their ctx
	reads, writes *breaker      // nil if there are none

	calls    calls
	silence  silence
	observe  *observe.Observer
	failures *observe.Line
	lifetime Lifetime

	// Doubts are those of the local level. Set it before the first use.
	Doubts *doubt.Set
	// Writing is called with each value and its lifetime before it is written, unless it is nil. Set
	// it before the first use.
	Writing func(key string, data []byte, life time.Duration)
}

// Lifetime says how long values and placeholders live at most in a store that does not tell their
// remaining lifetimes.
type Lifetime struct{ Value, Placeholder time.Duration }

// NewRemote returns the level over store, which may be nil.
func NewRemote(store remote.Remote, lifetime Lifetime, o *observe.Observer) *Remote {
	r := &Remote{store: store, raw: store, lifetime: lifetime, observe: o, failures: observe.NewLine()}
	r.ttl, _ = store.(remote.TTLGetter)
	r.items, _ = store.(remote.ItemSetter)
	r.keys, _ = store.(remote.KeysDeleter)
	r.fences, _ = store.(remote.Fencer)
	r.leases, _ = store.(remote.Leaser)
	r.locks, _ = store.(remote.CompareDeleter)
	return r
}

// Exists reports whether there is a remote level.
func (r *Remote) Exists() bool { return r.store != nil }

// failed counts and logs the failure of a call. A call that ended because its caller gave up is
// not the remote's failure. If calls have a timeout, neither is one whose caller had less time. A call
// that the breaker has not let through is no call.
func (r *Remote) failed(ctx context.Context, op string, err error) {
	switch {
	case err == nil, errors.Is(ctx.Err(), context.Canceled), errors.Is(err, ErrUnavailable):
		return
	case r.timeout > 0 && ctx.Err() != nil && !timedOut(err):
		return
	}
	r.observe.RemoteFailed(op, err)
	r.observe.Warn(r.failures, "the remote failed: %s: %v", op, err)
}

// SetsItems reports whether one call can store values with different lifetimes.
func (r *Remote) SetsItems() bool { return r.items != nil }

// Get reads the keys of recs in one call, and sets the Got of each. If timed is true, it asks for
// their remaining lifetimes, too, which local copies need. It returns an error if any key could not
// be read.
func (r *Remote) Get(ctx context.Context, recs []*record.Record, timed bool) (err error) {
	if len(recs) == 0 {
		return nil
	}
	if len(recs) == 1 {
		err = r.getOne(ctx, recs[0], timed)
	} else {
		err = r.getMany(ctx, recs, timed)
	}
	r.silence.hear(ctx, recs)
	return err
}

func (r *Remote) getOne(ctx context.Context, rec *record.Record, timed bool) (err error) { //nolint:revive // it asks for more in the same call
	got := record.Got{Asked: time.Now(), Phase: r.Doubts.Now()}
	if timed && r.ttl != nil {
		var v remote.Value
		if v, err = r.ttl.GetWithTTL(ctx, rec.Key); err == nil {
			got.There, got.Data, got.TTL = true, bytesOf(v.Data), v.TTL
		}
	} else {
		var data string
		if data, err = r.store.Get(ctx, rec.Key); err == nil {
			r.untimed(&got, bytesOf(data))
		}
	}
	if err != nil && errors.Is(err, r.store.Nil()) {
		err = nil
	}
	r.failed(ctx, "get", err)
	got.Err = err
	rec.Got = got
	noteSilence(rec, err)
	return err
}

func (r *Remote) getMany(ctx context.Context, recs []*record.Record, timed bool) (err error) { //nolint:revive // see getOne
	got := record.Got{Asked: time.Now(), Phase: r.Doubts.Now()}
	for _, rec := range recs {
		rec.Got = got
	}
	if keys := record.Keys(recs); timed && r.ttl != nil {
		var found map[string]remote.Value
		found, err = r.ttl.MGetWithTTL(ctx, keys...)
		for _, rec := range recs {
			if v, ok := found[rec.Key]; ok {
				rec.Got.There, rec.Got.Data, rec.Got.TTL = true, bytesOf(v.Data), v.TTL
			}
		}
	} else {
		var found map[string]any
		found, err = r.store.MGet(ctx, keys...)
		for _, rec := range recs {
			switch data := found[rec.Key].(type) {
			case string:
				r.untimed(&rec.Got, bytesOf(data))
			case []byte:
				r.untimed(&rec.Got, append([]byte{}, data...))
			}
		}
	}
	r.failed(ctx, "mget", err)
	for i, failed := range each(recs, err) {
		if rec := recs[i]; !rec.Got.There {
			rec.Got.Err = failed
			noteSilence(rec, failed)
		}
	}
	return err
}

// untimed sets got to data whose lifetime is not known.
func (r *Remote) untimed(got *record.Got, data []byte) {
	got.There, got.Data, got.TTL, got.Assumed = true, data, r.lifetime.Value, true
	if record.IsPlaceholder(data) {
		got.TTL = r.lifetime.Placeholder
	}
}

// bytesOf returns s as bytes without a copy. They must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// each yields the index of each of recs, and its error, after a call that returned err. The error
// is nil if the call has done its work for the key.
func each(recs []*record.Record, err error) func(yield func(i int, err error) bool) {
	return func(yield func(int, error) bool) {
		failed, partly := failedOf(recs, err)
		for i, rec := range recs {
			e := err
			if partly {
				e = failed[rec.Key]
			}
			if !yield(i, e) {
				return
			}
		}
	}
}

// failedOf returns the errors of those of recs that a call failed for, by key. partly is false if
// err does not say it for certain. Then the call must be taken to have failed for all: a key that
// wrongly counts as removed would be read for as long as it lives.
func failedOf(recs []*record.Record, err error) (failed map[string]error, partly bool) {
	if err == nil {
		return nil, true
	}
	failed, partly = namedIn(err)
	if !partly {
		return nil, false
	}
	known := 0
	for _, rec := range recs {
		if failed[rec.Key] != nil {
			known++
		}
	}
	// A wrapper of a Remote that changes keys may return an error that names the changed ones.
	return failed, known > 0 && known >= len(failed)
}

// namedIn returns the keys and errors of the KeysErrors that err consists of. ok is false if err has
// other parts, which may be about any key.
func namedIn(err error) (failed map[string]error, ok bool) {
	switch e := err.(type) { //nolint:errorlint // it looks at each error of the tree
	case *remote.KeysError:
		return e.Failed, true
	case interface{ Unwrap() error }:
		return namedIn(e.Unwrap())
	case interface{ Unwrap() []error }:
		failed = make(map[string]error)
		for _, part := range e.Unwrap() {
			some, ok := namedIn(part)
			if !ok {
				return nil, false
			}
			maps.Copy(failed, some)
		}
		return failed, true
	}
	return nil, false
}

// settle sets the Stored and the StoreErr of recs after a call that stored or removed them and
// returned err, and the Silent of those for which there was no answer.
func settle(recs []*record.Record, err error) {
	silenced(recs, err)
	for i, failed := range each(recs, err) {
		recs[i].StoreErr = failed
		recs[i].Stored = record.Stored
		if failed != nil {
			recs[i].Stored = record.Failed
		}
	}
}

// Set stores the Data of recs, and sets the Stored and the StoreErr of each. It makes one call, or,
// if a batch of the store has one lifetime, one call for each lifetime. A
// record's condition counts only if there is no other record.
func (r *Remote) Set(ctx context.Context, recs []*record.Record) (err error) {
	r.writing(recs)
	if len(recs) == 1 {
		return r.setOne(ctx, recs[0])
	}
	if r.items == nil {
		return r.setByLifetime(ctx, recs)
	}
	items := make([]remote.Item, len(recs))
	for i, rec := range recs {
		items[i] = remote.Item{Key: rec.Key, Data: rec.Data, Expire: rec.Life.Remote}
	}
	if len(items) > 0 {
		err = r.items.MSetItems(ctx, items...)
	}
	settle(recs, err)
	r.failed(ctx, "mset", err)
	return err
}

func (r *Remote) writing(recs []*record.Record) {
	if r.Writing == nil {
		return
	}
	for _, rec := range recs {
		r.Writing(rec.Key, rec.Data, rec.Life.Remote)
	}
}

func (r *Remote) setOne(ctx context.Context, rec *record.Record) (err error) {
	stored := true
	switch rec.If {
	case record.IfAbsent:
		stored, err = r.store.SetNX(ctx, rec.Key, rec.Data, rec.Life.Remote)
	case record.IfPresent:
		stored, err = r.store.SetXX(ctx, rec.Key, rec.Data, rec.Life.Remote)
	default:
		err = r.store.SetEX(ctx, rec.Key, rec.Data, rec.Life.Remote)
	}
	rec.StoreErr = err
	noteSilence(rec, err)
	switch {
	case err != nil:
		rec.Stored = record.Failed
	case stored:
		rec.Stored = record.Stored
	default:
		rec.Stored = record.NotDue
	}
	r.failed(ctx, "set", err)
	return err
}

// setByLifetime is Set for a store whose batches have one lifetime.
func (r *Remote) setByLifetime(ctx context.Context, recs []*record.Record) (err error) {
	bounded, cancel := r.Bounded(ctx) // all calls together
	defer cancel()
	groups := make(map[time.Duration][]*record.Record)
	for _, rec := range recs {
		groups[rec.Life.Remote] = append(groups[rec.Life.Remote], rec)
	}
	for expire, group := range groups {
		values := make(map[string]any, len(group))
		for _, rec := range group {
			values[rec.Key] = rec.Data
		}
		failed := r.store.MSet(bounded, values, expire)
		settle(group, failed)
		err = errors.Join(err, failed)
	}
	r.failed(ctx, "mset", err)
	return err
}

// Del removes the keys of recs, and sets the Stored and the StoreErr of each. It makes one call, or,
// if the store cannot remove several keys at once, one call for each key.
func (r *Remote) Del(ctx context.Context, recs []*record.Record) (err error) {
	switch {
	case len(recs) == 0:
		return nil
	case len(recs) == 1:
		_, err = r.store.Del(ctx, recs[0].Key)
		settle(recs, err)
		r.failed(ctx, "del", err)
		return err
	case r.keys != nil:
		err = r.keys.MDel(ctx, record.Keys(recs)...)
		settle(recs, err)
	default:
		err = r.delOneByOne(ctx, recs)
	}
	r.failed(ctx, "mdel", err)
	return err
}

func (r *Remote) delOneByOne(ctx context.Context, recs []*record.Record) (err error) {
	ctx, cancel := r.Bounded(ctx) // all calls together
	defer cancel()
	for i := range recs {
		_, failed := r.store.Del(ctx, recs[i].Key)
		settle(recs[i:i+1], failed)
		err = errors.Join(err, failed)
		if failed != nil && ctx.Err() != nil { // the others would fail, too
			settle(recs[i+1:], failed)
			break
		}
	}
	return err
}

// Lock takes the lock at key for ttl, unless it is taken. stamp says who has it. Lock reports
// whether it took the lock.
func (r *Remote) Lock(ctx context.Context, key, stamp string, ttl time.Duration) (won bool, err error) {
	won, err = r.store.SetNX(ctx, key, []byte(stamp), ttl)
	r.failed(ctx, "set", err)
	return won && err == nil, err
}

// Unlock gives back the lock at key, if stamp still has it. If the store cannot do that, or if it
// fails, the lock stays until its ttl has passed.
func (r *Remote) Unlock(ctx context.Context, key, stamp string) {
	if r.locks == nil {
		return
	}
	a := caught(ctx, func(ctx context.Context) (bool, error) { return r.locks.CompareAndDelete(ctx, key, stamp) })
	r.failed(ctx, "del", a.err) // also a panic: the caller may be a goroutine of its own
}

// Unlocks reports whether Unlock can give back a lock.
func (r *Remote) Unlocks() bool { return r.locks != nil }

// LockLeft returns the remaining lifetime of the lock at key, zero if it is free. known is false if
// the store cannot tell, or if it fails. silent is the error if the store gave no answer.
func (r *Remote) LockLeft(ctx context.Context, key string) (left time.Duration, known bool, silent error) {
	if r.ttl == nil {
		return 0, false, nil
	}
	rec := record.Record{Key: key}
	if err := r.getOne(ctx, &rec, true); err != nil {
		return 0, false, rec.Silent
	}
	if !rec.Got.There { // it expired, or was given back
		return 0, true, nil
	}
	return max(rec.Got.Bound(), 0), true, nil
}

// Track makes the store report changed keys; see remote.Tracker. The store must be one.
func (r *Remote) Track(ctx context.Context, prefixes []string, ready func(), changed func(keys []string)) error {
	return r.raw.(remote.Tracker).Track(ctx, prefixes, ready, changed)
}
