package remotetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var _ remote.Fencer = (*Memory)(nil)

// OpenFences returns the nonces of keys.
func (m *Memory) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	nonces := make([]string, len(keys))
	err := m.eachFence(ctx, "openFences", ttl, keys, func(i int, fence string) error {
		switch f, ok := m.lookLocked(fence); {
		case !ok:
			m.openLocked(fence, ttl)
		case !isClosed(f.data):
			m.extendLocked(fence, ttl)
		}
		nonces[i] = m.m[fence].data
		return nil
	})
	return nonces, err
}

// SetFenced stores the items whose conditions are met.
func (m *Memory) SetFenced(ctx context.Context, ttl time.Duration, items ...remote.FencedItem) ([]remote.FenceOutcome, error) {
	outcomes := make([]remote.FenceOutcome, len(items))
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	err := m.eachFence(ctx, "setFenced", ttl, keys, func(i int, fence string) (err error) {
		outcomes[i], err = m.setFencedLocked(items[i], fence, ttl)
		return err
	})
	return outcomes, err
}

func (m *Memory) setFencedLocked(item remote.FencedItem, fence string, ttl time.Duration) (remote.FenceOutcome, error) {
	if item.IfAbsent && item.IfPresent {
		return remote.FenceUnknown, fmt.Errorf("remotetest: both IfAbsent and IfPresent are set for the key %s", quote.Key(item.Key))
	}
	if item.Expire < 0 {
		return remote.FenceUnknown, fmt.Errorf("remotetest: the lifetime of %s is %s", quote.Key(item.Key), item.Expire)
	}
	if item.Nonce != "" {
		if f, ok := m.lookLocked(fence); !ok || f.data != item.Nonce || isClosed(f.data) {
			return remote.FenceChanged, nil
		}
	}
	if _, present := m.lookLocked(item.Key); item.IfAbsent && present || item.IfPresent && !present {
		return remote.FenceCondition, nil
	}
	if err := m.storeLocked(item.Key, item.Data, item.Expire); err != nil {
		return remote.FenceUnknown, err
	}
	if item.Renew {
		m.renewLocked(fence, ttl)
	}
	return remote.FenceStored, nil
}

// DelFenced removes keys and renews their fences.
func (m *Memory) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	return m.eachFence(ctx, "delFenced", ttl, keys, func(i int, fence string) error {
		delete(m.m, keys[i])
		m.renewLocked(fence, ttl)
		return nil
	})
}

// CloseFences removes keys and closes their fences.
func (m *Memory) CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	return m.eachFence(ctx, "closeFences", ttl, keys, func(i int, fence string) error {
		if err := checkFenceToken(token); err != nil {
			return err
		}
		delete(m.m, keys[i])
		f, _ := m.lookLocked(fence)
		tokens := tokensOf(f.data)
		if len(tokens) == 0 {
			return m.storeLocked(fence, "!"+token, ttl)
		}
		if !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
		f.data = "!" + strings.Join(tokens, ",")
		m.m[fence] = f
		m.extendLocked(fence, ttl)
		return nil
	})
}

// ReopenFences removes keys, and opens their fences if they are not closed under another token.
func (m *Memory) ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	return m.eachFence(ctx, "reopenFences", ttl, keys, func(i int, fence string) error {
		if err := checkFenceToken(token); err != nil {
			return err
		}
		delete(m.m, keys[i])
		f, _ := m.lookLocked(fence)
		tokens := tokensOf(f.data)
		others := slices.DeleteFunc(slices.Clone(tokens), func(t string) bool { return t == token })
		if len(others) == 0 {
			m.openLocked(fence, ttl)
		} else {
			f.data = "!" + strings.Join(others, ",")
			m.m[fence] = f
		}
		if len(others) == len(tokens) {
			return remote.ErrFenceLost
		}
		return nil
	})
}

func (m *Memory) eachFence(ctx context.Context, op string, ttl time.Duration, keys []string, do func(i int, fence string) error) error {
	return m.eachSideKey(ctx, sideCall{op, ttl, remote.FenceKey}, keys, do)
}

// sideCall is a call of op for the fences or leases of keys.
type sideCall struct {
	op    string
	ttl   time.Duration
	keyOf func(key string) (string, bool) // remote.FenceKey or remote.LeaseKey
}

// eachSideKey makes the call: it calls do with mu held for each key, and with its side key. If that
// fails for some keys, it returns a KeysError.
func (m *Memory) eachSideKey(ctx context.Context, c sideCall, keys []string, do func(i int, sideKey string) error) error {
	if len(keys) == 0 {
		return nil
	}
	if err := m.begin(ctx, c.op, keys...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := make(map[string]error)
	for i, key := range keys {
		sideKey, ok := c.keyOf(key)
		switch {
		case c.ttl <= 0:
			failed[key] = fmt.Errorf("remotetest: the ttl is %s", c.ttl)
		case !ok:
			failed[key] = remote.ErrNoSibling
		default:
			if err := do(i, sideKey); err != nil {
				failed[key] = err
			}
		}
	}
	if len(failed) > 0 {
		return &remote.KeysError{Op: c.op, Failed: failed}
	}
	return nil
}

// openLocked gives the fence a fresh nonce.
func (m *Memory) openLocked(fence string, ttl time.Duration) {
	m.m[fence] = stored{data: rand.Text(), end: time.Now().Add(ttl)}
}

// renewLocked is openLocked, unless the fence is closed.
func (m *Memory) renewLocked(fence string, ttl time.Duration) {
	if f, ok := m.lookLocked(fence); !ok || !isClosed(f.data) {
		m.openLocked(fence, ttl)
	}
}

// extendLocked makes key live for at least ttl.
func (m *Memory) extendLocked(key string, ttl time.Duration) {
	s := m.m[key]
	if end := time.Now().Add(ttl); !s.end.IsZero() && s.end.Before(end) {
		s.end = end
		m.m[key] = s
	}
}

func isClosed(nonce string) bool { return strings.HasPrefix(nonce, "!") }

// tokensOf returns the tokens under which a fence is closed, none if it is open.
func tokensOf(nonce string) []string {
	if !isClosed(nonce) {
		return nil
	}
	return strings.Split(nonce[1:], ",")
}

func checkFenceToken(token string) error {
	if token == "" || strings.ContainsAny(token, "!,;") {
		return fmt.Errorf("remotetest: %s is no token of a fence", quote.Key(token))
	}
	return nil
}
