package fence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// ErrUncertain is wrapped by the errors of reads for a key that a Set or Delete of this cache
// failed to change in the remote.
var ErrUncertain = errors.New("cache: an earlier change of the key has not reached the remote")

// repairs are the keys of which the remote may have a value that should be gone, because a
// change of them failed. A goroutine, which runs while there are any, removes them. Until a key
// has been removed, this node neither reads it from the remote nor stores there what it loads.
// Removing is right whatever the failed change was.
type repairs struct {
	observe *observe.Observer
	remove  func(ctx context.Context, recs []*record.Record) error
	removed func(keys []string) // is told of the keys that were removed
	lost    *observe.Line

	waiting atomic.Int64 // how many keys wait; it saves the others the mutex

	mu       sync.Mutex
	keys     map[string]repair // guarded by mu
	failures uint64            // guarded by mu: counts the failures of all keys
	closed   bool              // guarded by mu
	hurry    chan struct{}     // guarded by mu: closed to end the pause between two tries; nil if no goroutine runs
	running  chan struct{}     // guarded by mu: closed when the goroutine has ended
}

// repair is what is known of one key.
type repair struct {
	failure uint64 // the number of the newest failure, unlike that of any other
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

func newRepairs(o *observe.Observer, remove func(context.Context, []*record.Record) error, removed func(keys []string)) *repairs {
	return &repairs{observe: o, remove: remove, removed: removed, lost: observe.NewLine(), keys: make(map[string]repair)}
}

// any reports whether any key waits.
func (r *repairs) any() bool { return r.waiting.Load() > 0 }

// distrusts returns why the remote must not be asked for key, nil if it may be.
func (r *repairs) distrusts(key string) error {
	if !r.any() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.keys[key]
	if !ok {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUncertain, k.err)
}

// add has the keys of recs removed, whose change failed with err.
func (r *repairs) add(recs []*record.Record, err error) {
	if len(recs) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := 0
	for _, rec := range recs {
		_, there := r.keys[rec.Key]
		if r.closed || !there && len(r.keys) >= maxRepairs {
			lost++
			continue
		}
		r.failures++
		r.keys[rec.Key] = repair{r.failures, err}
	}
	r.waiting.Store(int64(len(r.keys)))
	if lost > 0 {
		r.observe.Error(r.lost, "%d keys could not be changed in the remote, which may have old values of them until these expire; %s: %v", lost, r.whyLostLocked(), err)
	}
	if r.hurry == nil && len(r.keys) > 0 {
		r.hurry, r.running = make(chan struct{}), make(chan struct{})
		go r.run(r.hurry, r.running)
	}
}

func (r *repairs) whyLostLocked() string {
	if r.closed {
		return "the cache is closed, so it does not try again"
	}
	return fmt.Sprintf("%d others wait already", len(r.keys))
}

// settle notes that key has been changed in the remote since its failure.
func (r *repairs) settle(key string) {
	if !r.any() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, key)
	r.waiting.Store(int64(len(r.keys)))
}

// run removes what waits. It ends when nothing does, or at the first failure after hurry was
// closed.
func (r *repairs) run(hurry <-chan struct{}, running chan<- struct{}) {
	defer close(running)
	pause := firstRepairPause
	for {
		timer := time.NewTimer(pause)
		hurried := false
		select {
		case <-timer.C:
		case <-hurry:
			hurried = true
		}
		timer.Stop()
		failed := r.round()
		if r.ended(hurried && failed) {
			return
		}
		if failed {
			pause = longer(pause)
		} else {
			pause = 0
		}
	}
}

// ended reports whether the goroutine ends: because it gives up, or nothing waits.
func (r *repairs) ended(givesUp bool) bool { //nolint:revive // givesUp is what the last round came to
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) > 0 && !givesUp {
		return false
	}
	r.hurry = nil
	return true
}

// longer returns the pause after a failure.
func longer(pause time.Duration) time.Duration {
	return min(max(2*pause, firstRepairPause), lastRepairPause)
}

// round tries to remove some of what waits. It reports whether any of it failed.
func (r *repairs) round() (failed bool) {
	batch := r.batch()
	if len(batch) == 0 {
		return false
	}
	recs := make([]*record.Record, 0, len(batch))
	for key := range batch {
		recs = append(recs, &record.Record{Key: key})
	}
	ctx, cancel := context.WithTimeout(context.Background(), repairTimeout)
	defer cancel()
	err := r.remove(ctx, recs)

	var done []string
	for _, rec := range recs {
		if err == nil || rec.StoreErr == nil {
			done = append(done, rec.Key)
		}
	}
	r.mu.Lock()
	for _, key := range done {
		if r.keys[key].failure == batch[key].failure { // otherwise a later change has failed
			delete(r.keys, key)
		}
	}
	r.waiting.Store(int64(len(r.keys)))
	r.mu.Unlock()
	if len(done) > 0 {
		r.removed(done)
	}
	return len(done) < len(recs)
}

// batch returns some of what waits.
func (r *repairs) batch() map[string]repair {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := make(map[string]repair, min(len(r.keys), repairBatch))
	for key, k := range r.keys {
		if batch[key] = k; len(batch) == repairBatch {
			break
		}
	}
	return batch
}

// close tries once more, for bound at most, and takes on nothing new.
func (r *repairs) close(bound time.Duration) {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	hurry, running := r.hurry, r.running
	r.mu.Unlock()
	if hurry == nil || again {
		return
	}
	close(hurry)
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C:
	}
	if n := r.size(); n > 0 {
		r.observe.Error(nil, "closed, but %d keys that could not be changed in the remote are still there; it may have old values of them until these expire", n)
	}
}

// size returns how many keys wait.
func (r *repairs) size() int { return int(r.waiting.Load()) }
