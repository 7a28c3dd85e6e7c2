package repair

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// keys are the keys of which the remote may have a value that should be gone, because a change
// of them failed. A goroutine, which runs while there are any, removes them. Until a key is removed,
// this node neither reads it from the remote nor stores there what it loads. To remove a key is right
// whatever the failed change was.
//
// A change may be given up while an older change of the key is under way (see fence.Policy.GiveUp), and
// the older one may reach the remote last. A change that nobody waits for any more is under way, too. So
// an older change that succeeds does not end the repair, and neither does a removal, or a newer change,
// that may have come before it:
//
//  1. a Set of an old value is sent, and the remote is slow;
//  2. a Delete of the key waits for the Set, until its ctx ends: it is given up;
//  3. the removal of the key, in the background, reaches the remote;
//  4. the Set reaches the remote. The old value must be removed once more.
type keys struct {
	observe *observe.Observer
	remove  func(ctx context.Context, recs []*record.Record) error
	removed func(keys []string) // is called with the keys that were removed
	lost    *observe.Line
	panics  *observe.Line

	waiting atomic.Int64 // how many keys wait; if there are none, readers need not lock mu

	mu       sync.Mutex
	waits    map[string]repair  // guarded by mu
	changing map[string]int     // guarded by mu: how many changes of each key are under way
	failures uint64             // guarded by mu: counts the failures of all keys
	closed   bool               // guarded by mu
	hurry    chan struct{}      // guarded by mu: closed to end the pause between two tries; nil if no goroutine runs
	running  chan struct{}      // guarded by mu: closed when the goroutine has ended
	abort    context.CancelFunc // guarded by mu: ends the goroutine's call of the remote
}

// repair is what is known of one key.
type repair struct {
	failure uint64 // the number of the newest failure, which no other failure has
	err     error  // of that failure
}

const (
	// maxRepairs bounds how many keys wait for their removal.
	maxRepairs = 1 << 17
	// repairBatch is how many keys are removed in one call.
	repairBatch = 500

	firstRepairPause = 50 * time.Millisecond
	lastRepairPause  = 5 * time.Second
	repairTimeout    = 5 * time.Second
)

func newKeys(o *observe.Observer, remove func(context.Context, []*record.Record) error, removed func(keys []string)) *keys {
	return &keys{
		observe: o, remove: remove, removed: removed, lost: observe.NewLine(), panics: observe.NewLine(),
		waits: make(map[string]repair), changing: make(map[string]int),
	}
}

// any reports whether any key waits.
func (r *keys) any() bool { return r.waiting.Load() > 0 }

// distrusts returns why this node does not trust the remote for key, nil if it does.
func (r *keys) distrusts(key string) error {
	if !r.any() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.waits[key]
	if !ok {
		return nil
	}
	return fmt.Errorf("%w: %w", fence.ErrUncertain, k.err)
}

// begin notes that a change of recs begins. The caller ends it with end, which it gives the mark.
func (r *keys) begin(recs []*record.Record) (mark uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range recs {
		r.changing[rec.Key]++
	}
	return r.failures
}

// end ends a change of recs. Those that failed are removed in the background. For those that were
// changed, it ends the repairs of what had failed before the change began, unless an older change is
// under way.
func (r *keys) end(recs []*record.Record, mark uint64) {
	var failed []*record.Record
	r.mu.Lock()
	for _, rec := range recs {
		if r.changing[rec.Key]--; r.changing[rec.Key] == 0 {
			delete(r.changing, rec.Key)
		}
		switch {
		case mustRepair(rec):
			failed = append(failed, rec)
		case rec.Stored == record.Stored && r.waits[rec.Key].failure <= mark && r.changing[rec.Key] == 0:
			delete(r.waits, rec.Key)
		}
	}
	r.addLocked(failed, func(rec *record.Record) error { return rec.StoreErr })
	r.mu.Unlock()
}

// add has the keys of recs removed, of which a change was given up because of err.
func (r *keys) add(recs []*record.Record, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(recs, func(*record.Record) error { return err })
}

// addLocked adds the keys of recs, whose change failed because of why.
func (r *keys) addLocked(recs []*record.Record, why func(*record.Record) error) {
	var lost []*record.Record
	for _, rec := range recs {
		_, there := r.waits[rec.Key]
		if r.closed || !there && len(r.waits) >= maxRepairs {
			lost = append(lost, rec)
			continue
		}
		r.failures++
		r.waits[rec.Key] = repair{r.failures, why(rec)}
	}
	r.waiting.Store(int64(len(r.waits)))
	if n := len(lost); n > 0 {
		r.observe.Error(r.lost, "%d keys could not be changed in the remote, which may have old values of them until these expire; %s: %v", n, r.whyLostLocked(), why(lost[n-1]))
	}
	if r.hurry == nil && !r.closed && len(r.waits) > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		r.hurry, r.running, r.abort = make(chan struct{}), make(chan struct{}), cancel
		go r.run(ctx, r.hurry, r.running)
	}
}

func (r *keys) whyLostLocked() string {
	if r.closed {
		return "the cache is closed, so it does not try again"
	}
	return fmt.Sprintf("%d others wait already", len(r.waits))
}

// run removes what waits. It ends when nothing does, or at the first failure after hurry was
// closed.
func (r *keys) run(ctx context.Context, hurry <-chan struct{}, running chan<- struct{}) {
	defer close(running)
	pause := firstRepairPause
	for {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-hurry:
		}
		timer.Stop()
		last := isClosed(hurry)
		failed := r.round(ctx)
		if r.ended(last && failed) {
			return
		}
		if failed {
			pause = longer(pause)
		} else {
			pause = 0
		}
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// ended reports whether the goroutine ends: because it gives up, or because nothing waits.
func (r *keys) ended(givesUp bool) bool { //nolint:revive // givesUp is what the last round came to
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waits) > 0 && !givesUp {
		return false
	}
	r.abort()
	r.hurry, r.abort = nil, nil
	return true
}

// longer returns the pause after a failure.
func longer(pause time.Duration) time.Duration {
	return min(max(2*pause, firstRepairPause), lastRepairPause)
}

// round tries to remove some of what waits. It reports whether some of it still waits then.
func (r *keys) round(ctx context.Context) (failed bool) {
	batch, recs := r.batch()
	if len(recs) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	r.try(ctx, recs)

	var done []string
	r.mu.Lock()
	for _, rec := range recs {
		k := batch[rec.Key]
		if rec.Stored != record.Stored || k.changing {
			continue
		}
		done = append(done, rec.Key)
		if r.waits[rec.Key].failure == k.failure { // otherwise a later change has failed
			delete(r.waits, rec.Key)
		}
	}
	r.waiting.Store(int64(len(r.waits)))
	r.mu.Unlock()
	if len(done) > 0 {
		r.removed(done)
	}
	return len(done) < len(recs)
}

// try removes recs, and sets the Stored of each. The remote may be the user's own: if it panics, that
// is a failure like others.
func (r *keys) try(ctx context.Context, recs []*record.Record) {
	defer func() {
		if p := recover(); p != nil {
			r.observe.Error(r.panics, "the remote panicked when keys were removed: %s\n%s", quote.Line(fmt.Sprint(p)), debug.Stack())
		}
	}()
	_ = r.remove(ctx, recs) // counted and logged, and said of each record
}

// attempt is what was known of a key when a round began.
type attempt struct {
	failure  uint64
	changing bool // a change was under way, which may reach the remote after the removal
}

// batch returns some of what waits, and records of it.
func (r *keys) batch() (batch map[string]attempt, recs []*record.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waits), repairBatch)
	batch, recs = make(map[string]attempt, n), make([]*record.Record, 0, n)
	for key, k := range r.waits {
		if len(recs) == n {
			break
		}
		batch[key] = attempt{k.failure, r.changing[key] > 0}
		recs = append(recs, &record.Record{Key: key})
	}
	return batch, recs
}

// close lets the goroutine try once more, for bound at most. Nothing is added afterwards.
func (r *keys) close(bound time.Duration) {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	hurry, running, abort := r.hurry, r.running, r.abort
	r.mu.Unlock()
	if hurry == nil {
		return
	}
	if !again {
		close(hurry)
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C:
		abort() // the goroutine ends when the remote returns
	}
	if n := r.size(); n > 0 && !again {
		r.observe.Error(nil, "closed, but %d keys that could not be changed in the remote are still there; it may have old values of them until these expire", n)
	}
}

// size returns how many keys wait.
func (r *keys) size() int { return int(r.waiting.Load()) }
