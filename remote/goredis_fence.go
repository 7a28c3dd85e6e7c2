package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

var _ Fencer = (*GoRedisV9Adapter)(nil)

// OpenFences returns the nonces of keys, by a script. On a single node, each call of the script has
// up to 100 keys, otherwise one. The calls are sent in pipelines of up to 500 keys. The other
// methods for fences and leases work in the same way.
func (r *GoRedisV9Adapter) OpenFences(ctx context.Context, ttl time.Duration, keys ...string) ([]string, error) {
	first := r.fences.numbers(len(keys))
	replies, err := r.evalItems(ctx, itemBatch{
		op: "open fences", script: openFences, writer: r.fences.name, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error {
			fence, err := sideKeyOf(keys[i], FenceKey)
			if err != nil {
				return err
			}
			return c.add([]string{fence}, first+uint64(i))
		},
	})
	nonces := make([]string, len(keys))
	for i, reply := range replies {
		nonces[i], _ = reply.(string)
	}
	return nonces, err
}

// SetFenced stores items by a script, in the calls that OpenFences describes. If one of the items has a
// Lease, the script also releases the leases of items that it stores.
func (r *GoRedisV9Adapter) SetFenced(ctx context.Context, ttl time.Duration, items ...FencedItem) ([]FenceOutcome, error) {
	first := r.fences.numbers(len(items))
	script, leased := setFenced, slices.ContainsFunc(items, func(f FencedItem) bool { return f.Lease != "" })
	if leased {
		script = setReleased
	}
	replies, err := r.evalItems(ctx, itemBatch{
		op: "set fenced", script: script, writer: r.fences.name, changes: true, ttl: ttl, n: len(items),
		key: func(i int) string { return items[i].Key },
		add: func(c *scriptCall, i int) error {
			item := items[i]
			expire, err := lifetime(item.Key, item.Expire)
			if err != nil {
				return err
			}
			condition, err := item.condition()
			if err != nil {
				return err
			}
			number := ""
			if item.Renew {
				number = strconv.FormatUint(first+uint64(i), 10)
			}
			fence, err := sideKeyOf(item.Key, FenceKey)
			if err != nil {
				return err
			}
			keys := []string{item.Key, fence}
			if leased {
				lease, err := sideKeyOf(item.Key, LeaseKey)
				if err != nil {
					return err
				}
				keys = append(keys, lease)
			}
			return c.add(keys, item.Data, expire.Milliseconds(), condition, item.Nonce, number, item.Lease)
		},
	})
	outcomes := make([]FenceOutcome, len(items))
	for i, reply := range replies {
		if n, ok := reply.(int64); ok {
			outcomes[i] = FenceOutcome(n)
		}
	}
	return outcomes, err
}

// condition returns the option of SET for the condition of an item, "" if it has none.
func (f *FencedItem) condition() (string, error) {
	switch {
	case f.IfAbsent && f.IfPresent:
		return "", fmt.Errorf("remote: both IfAbsent and IfPresent are set for the key %s; choose one", quote.Key(f.Key))
	case f.IfAbsent:
		return "nx", nil
	case f.IfPresent:
		return "xx", nil
	}
	return "", nil
}

// DelFenced removes keys and renews their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) DelFenced(ctx context.Context, ttl time.Duration, keys ...string) error {
	first := r.fences.numbers(len(keys))
	_, err := r.evalItems(ctx, itemBatch{
		op: "del fenced", script: delFenced, writer: r.fences.name, changes: true, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error { return c.addFenced(keys[i], first+uint64(i)) },
	})
	return err
}

// CloseFences removes keys and closes their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	invalid, first := checkFenceToken(token), r.fences.numbers(len(keys))
	_, err := r.evalItems(ctx, itemBatch{
		op: "close fences", script: closeFences, writer: r.fences.name, changes: true, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error {
			if invalid != nil {
				return invalid
			}
			return c.addFenced(keys[i], token, first+uint64(i))
		},
	})
	return err
}

// ReopenFences removes keys and opens their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	invalid, first := checkFenceToken(token), r.fences.numbers(len(keys))
	replies, err := r.evalItems(ctx, itemBatch{
		op: "reopen fences", script: reopenFences, writer: r.fences.name, changes: true, ttl: ttl, n: len(keys), key: at(keys),
		add: func(c *scriptCall, i int) error {
			if invalid != nil {
				return invalid
			}
			return c.addFenced(keys[i], token, first+uint64(i))
		},
	})
	var lost failures
	for i, reply := range replies {
		if reply == int64(0) {
			lost.add(keys[i], ErrFenceLost)
		}
	}
	return errors.Join(err, lost.err("reopen fences"))
}

// addFenced puts key and its fence into the call.
func (c *scriptCall) addFenced(key string, args ...any) error {
	fence, err := sideKeyOf(key, FenceKey)
	if err != nil {
		return err
	}
	return c.add([]string{key, fence}, args...)
}

// checkFenceToken returns an error for a token that CloseFences does not accept.
func checkFenceToken(token string) error {
	if token == "" || strings.ContainsAny(token, "!,") {
		return errors.New(`remote: a token that closes fences must be a text that is not empty and contains neither "!" nor ","`)
	}
	return nil
}

// at returns a function that returns keys by index.
func at(keys []string) func(i int) string { return func(i int) string { return keys[i] } }

// A fenceWriter stamps the changes of fences of one adapter. Its methods may be called concurrently.
type fenceWriter struct {
	name string
	last atomic.Uint64 // the number of the newest change
}

// writerBytes is the number of random bytes in the name of a writer, which has two hexadecimal digits
// for each.
const writerBytes = 8

func newFenceWriter() *fenceWriter {
	var random [writerBytes]byte
	_, _ = rand.Read(random[:]) // it returns no error: if it fails, crypto/rand ends the process
	return &fenceWriter{name: hex.EncodeToString(random[:])}
}

// numbers returns the first of n fresh numbers. A change that begins after another one has ended has
// a greater number.
func (w *fenceWriter) numbers(n int) (first uint64) { return w.last.Add(uint64(n)) - uint64(n) + 1 }
