package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	script, leased := setFenced, slices.ContainsFunc(items, func(f FencedItem) bool { return f.Lease != "" })
	if leased {
		script = setReleased
	}
	replies, err := r.changeItems(ctx, itemBatch{
		op: "set fenced", script: script, ttl: ttl, n: len(items),
		key: func(i int) string { return items[i].Key },
	}, func(c *scriptCall, i int, stamp uint64) error {
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
			number = strconv.FormatUint(stamp, 10)
		}
		args := []any{item.Data, expire.Milliseconds(), condition, item.Nonce, number, item.Lease}
		if !leased {
			return c.addFenced(item.Key, args...)
		}
		fence, err := sideKeyOf(item.Key, FenceKey)
		if err != nil {
			return err
		}
		lease, err := sideKeyOf(item.Key, LeaseKey)
		if err != nil {
			return err
		}
		return c.add([]string{item.Key, fence, lease}, args...)
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
	_, err := r.changeItems(ctx, itemBatch{op: "del fenced", script: delFenced, ttl: ttl, n: len(keys), key: at(keys)},
		func(c *scriptCall, i int, stamp uint64) error { return c.addFenced(keys[i], stamp) })
	return err
}

// CloseFences removes keys and closes their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) CloseFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	_, err := r.changeItems(ctx, itemBatch{op: "close fences", script: closeFences, ttl: ttl, n: len(keys), key: at(keys)},
		fencedUnder(token, keys))
	return err
}

// ReopenFences removes keys and opens their fences by a script, in the calls that OpenFences
// describes.
func (r *GoRedisV9Adapter) ReopenFences(ctx context.Context, ttl time.Duration, token string, keys ...string) error {
	replies, err := r.changeItems(ctx, itemBatch{op: "reopen fences", script: reopenFences, ttl: ttl, n: len(keys), key: at(keys)},
		fencedUnder(token, keys))
	var lost failures
	for i, reply := range replies {
		if reply == int64(0) {
			lost.add(keys[i], ErrFenceLost)
		}
	}
	return errors.Join(err, lost.err("reopen fences"))
}

// fencedUnder returns a function that adds keys whose fences are closed or reopened under token.
func fencedUnder(token string, keys []string) func(c *scriptCall, i int, stamp uint64) error {
	invalid := checkFenceToken(token)
	return func(c *scriptCall, i int, stamp uint64) error {
		if invalid != nil {
			return invalid
		}
		return c.addFenced(keys[i], token, stamp)
	}
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
	if token == "" || strings.ContainsAny(token, "!,;") {
		return errors.New(`remote: a token that closes fences must be a text that is not empty and contains none of "!", "," and ";"`)
	}
	return nil
}

// at returns a function that returns keys by index.
func at(keys []string) func(i int) string { return func(i int) string { return keys[i] } }
