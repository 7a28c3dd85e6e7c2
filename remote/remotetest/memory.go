package remotetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// ErrNil is what a Memory returns for an absent key.
var ErrNil = errors.New("remotetest: key is absent")

// Memory is a Remote in the memory of the process, for tests. It uses no network, so it works in
// bubbles of testing/synctest. A test can make it slow, or make it fail. Make one with NewMemory.
// Several caches may share it, and its methods may be called concurrently. It has all the optional
// abilities of package remote, except those of a bus: see Bus.
type Memory struct {
	mu      sync.Mutex
	m       map[string]stored // guarded by mu
	latency time.Duration     // guarded by mu
	fault   Fault             // guarded by mu
	calls   map[string]int    // guarded by mu
}

type stored struct {
	data string
	end  time.Time // when it expires; zero if it does not
}

var (
	_ remote.Remote         = (*Memory)(nil)
	_ remote.TTLGetter      = (*Memory)(nil)
	_ remote.ItemSetter     = (*Memory)(nil)
	_ remote.CompareDeleter = (*Memory)(nil)
	_ remote.KeysDeleter    = (*Memory)(nil)
	_ remote.ContextHeeder  = (*Memory)(nil)
)

// Fault is called at the beginning of each call of a Memory. If it returns an error, the call
// returns this error and does nothing. It may block to delay the call. It is called concurrently.
// op is "get", "set", "setnx", "setxx", "del", "mget", "mset", "compareAndDelete", "openFences",
// "setFenced", "delFenced", "closeFences", "reopenFences", "acquireLeases" or "releaseLeases".
type Fault func(ctx context.Context, op string, keys ...string) error

// HeedsContext reports true: a call ends with its ctx, unless a Fault does not.
func (*Memory) HeedsContext() bool { return true }

// NewMemory returns an empty Memory, without latency or faults.
func NewMemory() *Memory {
	return &Memory{m: make(map[string]stored), calls: make(map[string]int)}
}

// SetLatency makes each later call wait for d before it does anything. The default is zero.
func (m *Memory) SetLatency(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latency = d
}

// SetFault has f called first by each later call. A nil f, which is the default, makes no faults.
func (m *Memory) SetFault(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Calls returns the number of calls of op (see Fault), including those that failed.
func (m *Memory) Calls(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[op]
}

// TTL returns the remaining lifetime of key, zero if key does not expire, and reports whether key
// is present. It has no latency and no faults, and is not counted.
func (m *Memory) TTL(key string) (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.lookLocked(key)
	return s.ttl(), ok
}

// Peek returns the value of key, and reports whether key is present. Like TTL, it has no latency
// and no faults, and is not counted.
func (m *Memory) Peek(key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.lookLocked(key)
	return s.data, ok
}

// Put stores data under key without expiry. Like TTL, it has no latency and no faults, and is not
// counted.
func (m *Memory) Put(key, data string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[key] = stored{data: data}
}

// Keys returns the keys that are present, in any order. Like TTL, it has no latency and no faults,
// and is not counted.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range maps.Keys(m.m) {
		if _, ok := m.lookLocked(k); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// begin counts a call, delays it by the latency, and returns the error of the fault or of ctx.
func (m *Memory) begin(ctx context.Context, op string, keys ...string) error {
	m.mu.Lock()
	m.calls[op]++
	latency, fault := m.latency, m.fault
	m.mu.Unlock()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fault != nil {
		if err := fault(ctx, op, keys...); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *Memory) lookLocked(key string) (stored, bool) {
	s, ok := m.m[key]
	if ok && !s.end.IsZero() && !time.Now().Before(s.end) {
		delete(m.m, key)
		return stored{}, false
	}
	return s, ok
}

func (s stored) ttl() time.Duration {
	if s.end.IsZero() {
		return 0
	}
	return time.Until(s.end)
}

// storeLocked stores value, which must be a string or a []byte.
func (m *Memory) storeLocked(key string, value any, expire time.Duration) error {
	var s stored
	switch v := value.(type) {
	case string:
		s.data = v
	case []byte:
		s.data = string(v)
	default:
		return fmt.Errorf("remotetest: the value of %s is a %T, want a string or bytes", quote.Key(key), value)
	}
	switch {
	case expire < 0:
		return fmt.Errorf("remotetest: the lifetime of %s is %s", quote.Key(key), expire)
	case expire > 0:
		s.end = time.Now().Add(expire)
	}
	m.m[key] = s
	return nil
}

// SetEX stores value under key for expire.
func (m *Memory) SetEX(ctx context.Context, key string, value any, expire time.Duration) error {
	if err := m.begin(ctx, "set", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.storeLocked(key, value, expire)
}

// SetNX stores value under key for expire if key is absent.
func (m *Memory) SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	return m.setIf(ctx, condition{op: "setnx", present: false}, key, value, expire)
}

// SetXX stores value under key for expire if key is present.
func (m *Memory) SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	return m.setIf(ctx, condition{op: "setxx", present: true}, key, value, expire)
}

// condition says whether a key must be present to be set by op.
type condition struct {
	op      string
	present bool
}

func (m *Memory) setIf(ctx context.Context, c condition, key string, value any, expire time.Duration) (bool, error) {
	if err := m.begin(ctx, c.op, key); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.lookLocked(key); ok != c.present {
		return false, nil
	}
	err := m.storeLocked(key, value, expire)
	return err == nil, err
}

// Get returns the value of key, or ErrNil if key is absent.
func (m *Memory) Get(ctx context.Context, key string) (string, error) {
	v, err := m.GetWithTTL(ctx, key)
	return v.Data, err
}

// GetWithTTL returns the value of key and its remaining lifetime.
func (m *Memory) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	if err := m.begin(ctx, "get", key); err != nil {
		return remote.Value{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.lookLocked(key)
	if !ok {
		return remote.Value{}, ErrNil
	}
	return remote.Value{Data: s.data, TTL: s.ttl()}, nil
}

// Del removes key.
func (m *Memory) Del(ctx context.Context, key string) (int64, error) {
	if err := m.begin(ctx, "del", key); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.lookLocked(key); !ok {
		return 0, nil
	}
	delete(m.m, key)
	return 1, nil
}

// MGet returns the values of the keys that are present.
func (m *Memory) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	values, err := m.MGetWithTTL(ctx, keys...)
	found := make(map[string]any, len(values))
	for k, v := range values {
		found[k] = v.Data
	}
	return found, err
}

// MGetWithTTL returns the values of the keys that are present, and their remaining lifetimes.
func (m *Memory) MGetWithTTL(ctx context.Context, keys ...string) (map[string]remote.Value, error) {
	found := make(map[string]remote.Value, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	if err := m.begin(ctx, "mget", keys...); err != nil {
		return found, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		if s, ok := m.lookLocked(key); ok {
			found[key] = remote.Value{Data: s.data, TTL: s.ttl()}
		}
	}
	return found, nil
}

// MSet stores each of values for expire.
func (m *Memory) MSet(ctx context.Context, values map[string]any, expire time.Duration) error {
	if len(values) == 0 {
		return nil
	}
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	if err := m.begin(ctx, "mset", keys...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for k, v := range values {
		errs = append(errs, m.storeLocked(k, v, expire))
	}
	return errors.Join(errs...)
}

// MSetItems stores each item for its own lifetime.
func (m *Memory) MSetItems(ctx context.Context, items ...remote.Item) error {
	if len(items) == 0 {
		return nil
	}
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	if err := m.begin(ctx, "mset", keys...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, item := range items {
		errs = append(errs, m.storeLocked(item.Key, item.Data, item.Expire))
	}
	return errors.Join(errs...)
}

// MDel removes keys.
func (m *Memory) MDel(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	if err := m.begin(ctx, "del", keys...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		delete(m.m, key)
	}
	return nil
}

// CompareAndDelete removes key if its value is value.
func (m *Memory) CompareAndDelete(ctx context.Context, key, value string) (bool, error) {
	if err := m.begin(ctx, "compareAndDelete", key); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.lookLocked(key); !ok || s.data != value {
		return false, nil
	}
	delete(m.m, key)
	return true, nil
}

// Nil returns ErrNil.
func (m *Memory) Nil() error { return ErrNil }
