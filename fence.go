package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/stats"
)

// A fence is a key beside each key of the remote, in which every change of the key leaves a
// fresh nonce. A load notes the nonce before it calls the loader, and the remote stores what
// was loaded only if the nonce is still there. So a value that was read from the database
// before a change cannot come after it, on whatever node it was loaded, however long that
// node was paused or its packets were under way: no clock and no order of messages counts.
//
// A load puts a nonce where there is none, and a fence that is gone when the value comes
// counts as changed. Otherwise a value that arrives after the nonce of the change has expired
// would find the fence as it was.

// fences is what the remote level knows of fences; its zero value has none.
type fences struct {
	store   remote.Fencer // nil: there are none
	maxLoad time.Duration
	counter stats.FenceCounter // nil: nobody counts
	refused atomic.Uint64      // how many loaded values were not stored
	repairs *repairs           // nil: none
}

// fenceSpan is how many times as long as the longest load a fence lives.
const fenceSpan = 2

func (f *fences) ttl() time.Duration { return fenceSpan * f.maxLoad }

// guard is what was so when a load or a write began, and has to be so still when its value is
// stored.
type guard struct {
	phase *doubt.Phase // of the local level
	nonce string       // of the fence; empty: there is none, or it could not be read
	began time.Time    // of a load; zero: there is no fence to check, or the value was given
}

// closedFence is how the nonce of a fence begins that lets nothing through.
const closedFence = "!"

// fill says what became of a value that was loaded.
type fill uint8

const (
	fillFailed  fill = iota // there is an error
	fillStored              // it is in the remote
	fillRefused             // its key was changed since the load began, or that cannot be ruled out
	fillNotDue              // the condition of the item does not hold
)

var errNoFence = errors.New("cache: the fence of the key could not be read before the load, so the value was not stored")

// fenced reports whether there are fences.
func (r *remoteLevel) fenced() bool { return r.fences.store != nil }

// plainGuard returns the guard of what is not checked against a fence.
func (r *remoteLevel) plainGuard() guard { return guard{phase: r.doubts.Now()} }

// guard returns the guard of a load of key that is about to begin and is to be stored.
func (r *remoteLevel) guard(ctx context.Context, key string) guard {
	if !r.fenced() {
		return r.plainGuard()
	}
	return r.guards(ctx, []string{key})[0]
}

// guards is guard for many keys, in their order.
func (r *remoteLevel) guards(ctx context.Context, keys []string) []guard {
	gs := make([]guard, len(keys))
	plain := r.plainGuard()
	for i := range gs {
		gs[i] = plain
	}
	if !r.fenced() || len(keys) == 0 {
		return gs
	}
	began := time.Now()
	for i := range gs {
		gs[i].began = began
	}
	nonces, err := r.fences.store.OpenFences(ctx, r.fences.ttl(), keys...)
	if err != nil {
		r.failed(ctx, "fence", err)
	}
	for i, nonce := range nonces {
		gs[i].nonce = nonce
	}
	return gs
}

// admits says whether what was loaded under g may be given to the remote at all.
func (f *fences) admits(g guard) fill {
	switch {
	case g.nonce == "":
		return fillFailed
	case strings.HasPrefix(g.nonce, closedFence), time.Since(g.began) > f.maxLoad:
		return fillRefused
	}
	return fillStored
}

// countRefused counts loaded values that were not stored.
func (f *fences) countRefused(n int) {
	if n == 0 {
		return
	}
	f.refused.Add(uint64(n))
	if f.counter != nil {
		f.counter.IncrFillRefused(n)
	}
}

// fill stores what was loaded under g, if the key has not been changed since.
func (r *remoteLevel) fill(ctx context.Context, key string, data []byte, expire time.Duration, cond condition, g guard) (fill, error) {
	if !r.fenced() {
		return plainFill(r.set(ctx, key, data, expire, cond))
	}
	fills, err := r.mfill(ctx, []remote.FencedItem{fencedItem(key, data, expire, cond)}, []guard{g})
	return fills[0], err
}

func plainFill(stored bool, err error) (fill, error) {
	switch {
	case err != nil:
		return fillFailed, err
	case !stored:
		return fillNotDue, nil
	}
	return fillStored, nil
}

func fencedItem(key string, data []byte, expire time.Duration, cond condition) remote.FencedItem {
	return remote.FencedItem{
		Item:      remote.Item{Key: key, Data: data, Expire: expire},
		IfAbsent:  cond == ifAbsent,
		IfPresent: cond == ifPresent,
	}
}

// mfill is fill for many keys, each with its guard. Without fences, it does not look at the
// conditions of items.
func (r *remoteLevel) mfill(ctx context.Context, items []remote.FencedItem, gs []guard) (fills []fill, err error) {
	fills = make([]fill, len(items))
	if !r.fenced() {
		plain := make([]remote.Item, len(items))
		for i := range items {
			plain[i] = items[i].Item
		}
		if err = r.mset(ctx, plain); err == nil {
			for i := range fills {
				fills[i] = fillStored
			}
		}
		return fills, err
	}
	refused := 0
	send := make([]remote.FencedItem, 0, len(items))
	places := make([]int, 0, len(items))
	for i, item := range items {
		fills[i] = r.fences.admits(gs[i])
		switch distrust := r.fences.repairs.distrusts(item.Key); {
		case fills[i] == fillRefused: // also locally, whatever else is wrong
			refused++
		case distrust != nil:
			fills[i], err = fillFailed, distrust
		case fills[i] == fillFailed:
			err = errNoFence
		default:
			item.Nonce = gs[i].nonce
			send, places = append(send, item), append(places, i)
		}
	}
	if len(send) > 0 {
		outcomes, failed := r.setFenced(ctx, send)
		for n, i := range places {
			switch fills[i] = fillOf(outcomes[n]); fills[i] {
			case fillRefused:
				refused++
			}
		}
		if failed != nil {
			r.failed(ctx, "set", failed)
			err = errors.Join(err, failed)
		}
	}
	r.fences.countRefused(refused)
	return fills, err
}

func (r *remoteLevel) setFenced(ctx context.Context, items []remote.FencedItem) ([]remote.FenceOutcome, error) {
	for i := range items {
		r.own.note(items[i].Key, items[i].Data)
	}
	return r.fences.store.SetFenced(ctx, r.fences.ttl(), items...)
}

func fillOf(o remote.FenceOutcome) fill {
	switch o {
	case remote.FenceStored:
		return fillStored
	case remote.FenceChanged:
		return fillRefused
	case remote.FenceCondition:
		return fillNotDue
	}
	return fillFailed
}

// change is set for a value that replaces what is there, and makes void what others are
// loading. Under the guard of a load it is refused if another change came first, or that cannot
// be ruled out.
func (r *remoteLevel) change(ctx context.Context, key string, data []byte, expire time.Duration, cond condition, g guard) (fill, error) {
	if !r.fenced() {
		return plainFill(r.set(ctx, key, data, expire, cond))
	}
	switch {
	case g.began.IsZero(): // the value was given: it counts
	case strings.HasPrefix(g.nonce, closedFence), g.nonce == "" && cond == always:
		return fillRefused, nil
	case g.nonce == "":
		return fillFailed, errNoFence
	}
	item := fencedItem(key, data, expire, cond)
	item.Nonce, item.Renew = g.nonce, true
	outcomes, err := r.setFenced(ctx, []remote.FencedItem{item})
	if err != nil {
		r.failed(ctx, "set", err)
		r.fences.repairs.add([]string{key}, err)
		return fillFailed, err
	}
	if outcomes[0] == remote.FenceStored {
		r.fences.repairs.settle(key)
	}
	return fillOf(outcomes[0]), nil
}

// mchange is change for many keys, without conditions.
func (r *remoteLevel) mchange(ctx context.Context, items []remote.Item) error {
	if !r.fenced() {
		return r.mset(ctx, items)
	}
	send := make([]remote.FencedItem, len(items))
	keys := make([]string, len(items))
	for i, item := range items {
		send[i] = remote.FencedItem{Item: item, Renew: true}
		keys[i] = item.Key
	}
	_, err := r.setFenced(ctx, send)
	r.settleOrRepair(ctx, "set", keys, err)
	return err
}

// delFenced removes keys and renews their fences. What fails is tried again in the background.
func (r *remoteLevel) delFenced(ctx context.Context, keys []string) error {
	err := r.fences.store.DelFenced(ctx, r.fences.ttl(), keys...)
	r.settleOrRepair(ctx, "del", keys, err)
	return err
}

// settleOrRepair follows up on changes of keys that ended with err.
func (r *remoteLevel) settleOrRepair(ctx context.Context, op string, keys []string, err error) {
	if err != nil {
		r.failed(ctx, op, err)
	}
	done, failed := divide(keys, err)
	for _, key := range done {
		r.fences.repairs.settle(key)
	}
	r.fences.repairs.add(failed, err)
}

// divide divides keys into those that were handled by a call which returned err, and those that
// may not have been.
func divide(keys []string, err error) (done, failed []string) {
	if err == nil {
		return keys, nil
	}
	var some *remote.KeysError
	if !errors.As(err, &some) {
		return nil, keys
	}
	for _, key := range keys {
		if some.Failed[key] != nil {
			failed = append(failed, key)
		} else {
			done = append(done, key)
		}
	}
	return done, failed
}

// closeFences removes keys and lets nothing be stored that is loaded until reopenFences.
func (r *remoteLevel) closeFences(ctx context.Context, token string, keys []string) error {
	err := r.fences.store.CloseFences(ctx, r.fences.ttl(), token, keys...)
	if err != nil {
		r.failed(ctx, "fence", err)
	}
	return err
}

// reopenFences removes keys and ends what closeFences did.
func (r *remoteLevel) reopenFences(ctx context.Context, token string, keys []string) error {
	err := r.fences.store.ReopenFences(ctx, r.fences.ttl(), token, keys...)
	r.settleOrRepair(ctx, "fence", keys, err)
	return err
}

// randomToken returns 16 random hexadecimal digits.
func randomToken() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}
