package lease

import "sync"

// waiters are the calls on this node that wait for keys which another node loads. The zero value
// has none.
type waiters struct {
	mu    sync.Mutex
	byKey map[string]map[chan<- struct{}]struct{} // guarded by mu
}

// Wake wakes the calls that wait for keys.
func (w *waiters) Wake(keys []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		for woken := range w.byKey[key] {
			select {
			case woken <- struct{}{}:
			default:
			}
		}
	}
}

// await returns a channel that has an element when one of keys may have been stored. The caller
// calls stop in the end.
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
