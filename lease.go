package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/logger"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// A lease makes one node of the fleet load a key that all of them miss. Who does not get it
// waits, and asks again: the answer is then that the value is there, that the holder has
// failed, that another still loads, or that the lease is free. It saves loads and nothing else:
// who has waited as long as a lease lives loads without one, and what may be stored is the
// fence's to say.

// ErrLoadElsewhere is wrapped by the errors of reads that waited for the load of another node
// (WithLease), which failed. The text of that error is in it.
var ErrLoadElsewhere = errors.New("cache: the load on another node failed")

// leases is what the remote level knows of leases; its zero value has none.
type leases struct {
	store remote.Leaser // nil: there are none
	ttl   time.Duration
	tell  func(ctx context.Context, keys []string) // tells nodes that wait; nil: they find out

	mu      sync.Mutex
	waiting map[string]map[chan<- struct{}]struct{} // guarded by mu: who waits for a key
}

const (
	// The pauses between two looks at a lease that another node holds.
	firstLeasePause = 5 * time.Millisecond
	lastLeasePause  = 100 * time.Millisecond
	// failureTime bounds how long the failure of a load is kept for those who wait for it.
	failureTime = time.Second
	// maxFailure is how many bytes of its text are.
	maxFailure = 1 << 10
)

// apply reports whether a load for this item needs a lease: not if the remote is not to have
// the value.
func (l *leases) apply(it *item) bool { return l.store != nil && it.ttl >= 0 }

// wake wakes those who wait for keys.
func (l *leases) wake(keys []string) {
	if l.store == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		for woken := range l.waiting[key] {
			select {
			case woken <- struct{}{}:
			default:
			}
		}
	}
}

// await returns a channel that has an element when one of keys may have been stored.
func (l *leases) await(keys []string) (woken <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = make(map[string]map[chan<- struct{}]struct{})
	}
	for _, key := range keys {
		if l.waiting[key] == nil {
			l.waiting[key] = make(map[chan<- struct{}]struct{})
		}
		l.waiting[key][ch] = struct{}{}
	}
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, key := range keys {
			if delete(l.waiting[key], ch); len(l.waiting[key]) == 0 {
				delete(l.waiting, key)
			}
		}
	}
}

// bid is the attempt to lead the loads of keys.
type bid struct {
	r     *remoteLevel
	token string
	end   time.Time // when it loads without a lease
	pause time.Duration

	awaited map[string]string // by key: the token of who holds its lease
}

func (r *remoteLevel) newBid() *bid {
	return &bid{r: r, token: randomToken(), end: time.Now().Add(r.leases.ttl), pause: firstLeasePause, awaited: make(map[string]string)}
}

// ask tries to get the leases of keys. Without an answer, it is as if they had been won: the
// load goes on without.
func (b *bid) ask(ctx context.Context, keys []string) []remote.LeaseAnswer {
	asks := make([]remote.LeaseAsk, len(keys))
	for i, key := range keys {
		asks[i] = remote.LeaseAsk{Key: key, Token: b.token, Awaited: b.awaited[key]}
	}
	answers, err := b.r.leases.store.AcquireLeases(ctx, b.r.leases.ttl, asks...)
	if err != nil {
		b.r.failed(ctx, "lease", err)
	}
	over := !time.Now().Before(b.end)
	for i := range answers {
		switch a := &answers[i]; {
		case a.State == remote.LeaseUnknown, a.State == remote.LeaseHeld && over:
			*a = remote.LeaseAnswer{State: remote.LeaseWon}
		case a.State == remote.LeaseHeld:
			b.awaited[keys[i]] = a.Holder
		}
	}
	return answers
}

// wait waits until it is time to ask for keys again. It returns ctx's error when ctx ends first.
func (b *bid) wait(ctx context.Context, woken <-chan struct{}) error {
	spread := time.Duration(rand.Int64N(int64(b.pause)/2 + 1)) // nodes that began together do not ask together
	timer := time.NewTimer(min(b.pause/2+spread, max(0, time.Until(b.end))))
	defer timer.Stop()
	b.pause = min(b.pause*3/2, lastLeasePause)
	select {
	case <-timer.C:
		return nil
	case <-woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives back the leases of keys; failure, if not nil, is why there is nothing to store.
func (b *bid) release(ctx context.Context, keys []string, failure error) {
	if len(keys) == 0 {
		return
	}
	text := ""
	if failure != nil && !isContextError(failure) { // otherwise only the callers have left
		text = failure.Error()
		text = text[:min(len(text), maxFailure)]
	}
	ends := make([]remote.LeaseEnd, len(keys))
	for i, key := range keys {
		ends[i] = remote.LeaseEnd{Key: key, Token: b.token, Failure: text}
	}
	// The callers may have left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	wanted, err := b.r.leases.store.ReleaseLeases(ctx, min(b.r.leases.ttl, failureTime), ends...)
	if err != nil {
		b.r.failed(ctx, "lease", err) // they run out
	}
	var tell []string
	for i, w := range wanted {
		if w {
			tell = append(tell, keys[i])
		}
	}
	if b.r.leases.tell != nil && len(tell) > 0 {
		b.r.leases.tell(ctx, tell)
	}
}

func loadedElsewhere(key, failure string) error {
	return fmt.Errorf("%w: %q: %s", ErrLoadElsewhere, key, failure)
}

// lead makes this node the one that loads key, or waits until another one has: then found says
// that out is the result. Otherwise release is to be called when the load has ended.
func (c *jetCache) lead(ctx context.Context, key string, note flight.Note[outcome], it item) (out outcome, found bool, release func(failure error), err error) {
	b, keys := c.remote.newBid(), []string{key}
	var woken <-chan struct{}
	for {
		answer := b.ask(ctx, keys)[0]
		switch answer.State {
		case remote.LeaseStored:
			if out, ok := c.readStored(ctx, key, note, it); ok {
				return out, true, nil, nil
			}
			return out, false, func(error) {}, nil // gone, or not to be read: without a lease
		case remote.LeaseFailed:
			return out, true, nil, loadedElsewhere(key, answer.Failure)
		case remote.LeaseWon:
			return out, false, func(failure error) { b.release(ctx, keys, failure) }, nil
		}
		if woken == nil {
			var stop func()
			woken, stop = c.remote.leases.await(keys)
			defer stop()
			continue // it may have been stored in between
		}
		if err := b.wait(ctx, woken); err != nil {
			return out, true, nil, err
		}
	}
}

// readStored reads what another node has just stored.
func (c *jetCache) readStored(ctx context.Context, key string, note flight.Note[outcome], it item) (outcome, bool) {
	useLocal := c.local.exists() && !it.skipLocal
	v, found, _ := c.remote.get(ctx, key, useLocal) // its failure counts as a miss
	if !found {
		return outcome{}, false
	}
	c.count.remoteHit()
	if useLocal {
		c.fillRead(note, key, v)
	}
	return stored(v.data, fromRemote), true
}

// loadByLease loads the open keys of a batch: those whose leases it gets, and at last those for
// which it has waited in vain.
func (l *batchLoad) loadByLease(ctx context.Context, open []*loadKey) {
	b := l.c.remote.newBid()
	var woken <-chan struct{}
	for len(open) > 0 {
		lead, leased, wait := l.divideByLease(ctx, b, open)
		if len(lead) > 0 {
			err := l.loadOwn(ctx, lead)
			b.release(ctx, leased, err)
		}
		if open = wait; len(open) == 0 {
			return
		}
		if woken == nil {
			var stop func()
			woken, stop = l.c.remote.leases.await(keysOfOpen(open))
			defer stop()
			continue // they may have been stored in between
		}
		if err := b.wait(ctx, woken); err != nil {
			for _, k := range open {
				l.settle(k, slotFailed, nil, outcome{}, err)
			}
			return
		}
	}
}

// divideByLease divides the open keys into those that this node is to load, some of which it
// has the lease of, and those that another is loading. It settles what others have stored, or
// failed to load.
func (l *batchLoad) divideByLease(ctx context.Context, b *bid, open []*loadKey) (lead []*loadKey, leased []string, wait []*loadKey) {
	var there []*loadKey
	for i, answer := range b.ask(ctx, keysOfOpen(open)) {
		switch k := open[i]; answer.State {
		case remote.LeaseStored:
			if k.reload { // what is there is what could not be decoded
				lead = append(lead, k)
			} else {
				there = append(there, k)
			}
		case remote.LeaseFailed:
			err := loadedElsewhere(k.key, answer.Failure)
			l.settle(k, slotFailed, err, outcome{}, err)
		case remote.LeaseWon:
			lead, leased = append(lead, k), append(leased, k.key)
		default:
			wait = append(wait, k)
		}
	}
	if len(there) > 0 {
		lead = append(lead, l.lookRemotely(ctx, there)...)
	}
	return lead, leased, wait
}

func keysOfOpen(open []*loadKey) []string {
	keys := make([]string, len(open))
	for n, k := range open {
		keys[n] = k.key
	}
	return keys
}

// initLeases connects the leases with what tells other nodes.
func (c *jetCache) initLeases() {
	if c.remote.leases.store == nil || c.syncer == nil || c.syncer.link == nil {
		return
	}
	link, name := c.syncer.link, c.name
	c.remote.leases.tell = func(ctx context.Context, keys []string) {
		if err := link.TellFilled(ctx, keys); err != nil { // they look by themselves, a little later
			logger.Debug("cache %s: telling other nodes that keys have been loaded: %v", name, err)
		}
	}
}
