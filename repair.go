package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/limit"
	"github.com/mgtv-tech/jetcache-go/logger"
)

// repairs are the keys of which the remote may have a value that should be gone, because a
// Set or Delete failed. They are removed in the background; until then this node neither
// reads them from the remote nor stores there what it loads.
type repairs struct {
	name   string // of the cache
	remove func(ctx context.Context, keys []string) error
	// removed is told of keys that are as they should be again.
	removed func(keys []string)
	lost    limit.Limiter

	waiting atomic.Int64 // how many keys wait; it saves the others the mutex

	mu       sync.Mutex
	keys     map[string]repair // guarded by mu
	failures uint64            // guarded by mu: how many keys there were, each as often as it failed
	closed   bool              // guarded by mu
	hurry    chan struct{}     // guarded by mu: closed to end the pause between two tries; nil: no goroutine runs
	running  chan struct{}     // guarded by mu: closed when the goroutine has ended
}

// repair is what is known of one key.
type repair struct {
	failure uint64 // the number of the newest failure, unlike that of any other
	err     error  // of it
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

// ErrRemoteUncertain is wrapped by the errors of reads for a key that a Set or Delete of this
// cache failed to change in the remote: what the remote has may be out of date. With WithFence,
// it is removed in the background as soon as the remote answers again.
var ErrRemoteUncertain = errors.New("cache: an earlier change of the key has not reached the remote")

// distrusts returns why the remote is not to be asked for key, nil if it is.
func (r *repairs) distrusts(key string) error {
	if r == nil || r.waiting.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.keys[key]
	if !ok {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRemoteUncertain, k.err)
}

// sift returns the keys that the remote may be asked for, and why it may not for the others.
func (r *repairs) sift(keys []string) (trusted []string, distrusted map[string]error) {
	if r == nil || r.waiting.Load() == 0 {
		return keys, nil
	}
	for _, key := range keys {
		if err := r.distrusts(key); err != nil {
			if distrusted == nil {
				distrusted = make(map[string]error)
			}
			distrusted[key] = err
		} else {
			trusted = append(trusted, key)
		}
	}
	return trusted, distrusted
}

// add has keys removed whose change failed with err.
func (r *repairs) add(keys []string, err error) {
	if r == nil || len(keys) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := 0
	for _, key := range keys {
		_, there := r.keys[key]
		if r.closed || !there && len(r.keys) >= maxRepairs {
			lost++
			continue
		}
		r.failures++
		r.keys[key] = repair{r.failures, err}
	}
	r.waiting.Store(int64(len(r.keys)))
	if lost > 0 {
		if held, ok := r.lost.Allow(); ok {
			logger.Error("cache %s: %d keys could not be changed in the remote, which may have old values of them until these expire; %s (%d more such failures since the last such line): %v",
				r.name, lost, r.whyLostLocked(), held, err)
		}
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

// settle notes that key has been changed in the remote by now.
func (r *repairs) settle(key string) {
	if r == nil || r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, key)
	r.waiting.Store(int64(len(r.keys)))
}

// run removes what waits, and ends when nothing does, or at the first failure after hurry was
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
		r.mu.Lock()
		if len(r.keys) == 0 || hurried && failed {
			r.hurry = nil
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if failed {
			pause = min(max(2*pause, firstRepairPause), lastRepairPause)
		} else {
			pause = 0
		}
	}
}

// round tries to remove some of what waits; it reports whether any of it failed.
func (r *repairs) round() (anyFailed bool) {
	r.mu.Lock()
	batch := make(map[string]repair, min(len(r.keys), repairBatch))
	for key, k := range r.keys {
		if batch[key] = k; len(batch) == repairBatch {
			break
		}
	}
	r.mu.Unlock()
	keys := make([]string, 0, len(batch))
	for key := range maps.Keys(batch) {
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), repairTimeout)
	defer cancel()
	done, failed := divide(keys, r.remove(ctx, keys))

	r.mu.Lock()
	for _, key := range done {
		if r.keys[key].failure == batch[key].failure {
			delete(r.keys, key)
		}
	}
	r.waiting.Store(int64(len(r.keys)))
	r.mu.Unlock()
	if len(done) > 0 {
		r.removed(done)
	}
	return len(failed) > 0
}

// close tries once more, for bound at most, and takes on nothing new.
func (r *repairs) close(bound time.Duration) {
	if r == nil {
		return
	}
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
	if n := r.waiting.Load(); n > 0 {
		logger.Error("cache %s: closed, but %d keys that could not be changed in the remote are still there; it may have old values of them until these expire", r.name, n)
	}
}

// size returns how many keys wait.
func (r *repairs) size() int {
	if r == nil {
		return 0
	}
	return int(r.waiting.Load())
}
