package lease

import "sync"

// waiters are the calls on this node that wait for keys which another node loads. In the zero value,
// no call waits.
type waiters struct {
	mu    sync.Mutex
	byKey map[string]map[chan<- struct{}]struct{} // guarded by mu
}

// Wake makes the calls that wait for keys ask again at once. It may be called concurrently.
func (w *waiters) Wake(keys []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		for woken := range w.byKey[key] {
			select {
			case woken <- struct{}{}:
			default: // it is awake already
			}
		}
	}
}

// await returns a channel that gets an element when Wake is called with one of keys. The caller must
// call stop when it no longer waits.
func (w *waiters) await(keys []string) (woken <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey == nil {
		w.byKey = make(map[string]map[chan<- struct{}]struct{})
	}
	for _, key := range keys {
		if w.byKey[key] == nil {
			w.byKey[key] = make(map[chan<- struct{}]struct{})
		}
		w.byKey[key][ch] = struct{}{}
	}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, key := range keys {
			if delete(w.byKey[key], ch); len(w.byKey[key]) == 0 {
				delete(w.byKey, key)
			}
		}
	}
}
