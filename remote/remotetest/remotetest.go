// Package remotetest is the suite that any remote.Remote has to pass, and a Remote in
// memory for tests. Run the suite from a test of your own Remote:
//
//	func TestRemote(t *testing.T) {
//		remotetest.Run(t, func(t *testing.T) remotetest.Target {
//			return remotetest.Target{Remote: myremote.New(t)}
//		})
//	}
package remotetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// Target is a Remote under test, with no keys in it.
type Target struct {
	Remote remote.Remote
	// Advance lets time pass for the Remote. Default: time.Sleep.
	Advance func(time.Duration)
}

// Run verifies each property as a subtest, on a Target that make returns for it.
func Run(t *testing.T, make func(t *testing.T) Target) {
	t.Helper()
	suitetest.Run(t, checks, make)
}

var checks = slices.Concat(basicChecks, fenceChecks, fencedSetChecks, closedFenceChecks, leaseChecks)

var basicChecks = []suitetest.Check[Target]{
	{Name: "what was set is there", Verify: setGet},
	{Name: "an absent key is the error of Nil", Verify: absent},
	{Name: "a later value replaces an earlier one and its lifetime", Verify: overwrite},
	{Name: "any bytes, none included, come back as they were", Verify: anyBytes},
	{Name: "SetNX stores only if absent", Verify: setNX},
	{Name: "SetXX stores only if present", Verify: setXX},
	{Name: "of concurrent SetNX one wins", Verify: setNXConcurrent},
	{Name: "Del removes and counts", Verify: del},
	{Name: "MGet returns what is there, as strings", Verify: mget},
	{Name: "MSet stores each value", Verify: mset},
	{Name: "batches of nothing are nothing", Verify: empty},
	{Name: "lifetimes are exact to the millisecond", Verify: lifetimes},
	{Name: "a negative lifetime is an error and changes nothing", Verify: negative},
	{Name: "a cancelled context ends the call with an error", Verify: cancelled},
	{Name: "the remaining lifetime comes with the value", Verify: ttlGetter},
	{Name: "items of a batch have lifetimes of their own", Verify: itemSetter},
	{Name: "MDel removes each of its keys", Verify: keysDeleter},
	{Name: "CompareAndDelete removes only what it was told", Verify: compareDeleter},
}

var ctx = context.Background()

func (t Target) advance(d time.Duration) {
	if t.Advance != nil {
		t.Advance(d)
		return
	}
	time.Sleep(d)
}

func (t Target) expect(key, want string) error {
	got, err := t.Remote.Get(ctx, key)
	if err != nil || got != want {
		return fmt.Errorf("%q is %q, %v, want %q", key, got, err, want)
	}
	return nil
}

func (t Target) expectAbsent(key string) error {
	if got, err := t.Remote.Get(ctx, key); !errors.Is(err, t.Remote.Nil()) {
		return fmt.Errorf("%q is %q, %v, want the error of Nil", key, got, err)
	}
	return nil
}

func setGet(t Target) error {
	if err := t.Remote.SetEX(ctx, "bytes", []byte("b"), time.Minute); err != nil {
		return err
	}
	if err := t.Remote.SetEX(ctx, "string", "s", time.Minute); err != nil {
		return err
	}
	return errors.Join(t.expect("bytes", "b"), t.expect("string", "s"))
}

func absent(t Target) error {
	if t.Remote.Nil() == nil {
		return errors.New("Nil returns nil")
	}
	return t.expectAbsent("never set")
}

func overwrite(t Target) error {
	for _, v := range []string{"first", "second"} {
		if err := t.Remote.SetEX(ctx, "k", v, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if err := t.Remote.SetEX(ctx, "k", "third", time.Minute); err != nil {
		return err
	}
	t.advance(100 * time.Millisecond)
	return t.expect("k", "third")
}

func anyBytes(t Target) error {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, v := range []string{"", "\x00", "*", "\r\n", string(all), strings.Repeat("x", 100_000)} {
		key := fmt.Sprint("k", i)
		if err := t.Remote.SetEX(ctx, key, []byte(v), time.Minute); err != nil {
			return err
		}
		if err := t.expect(key, v); err != nil {
			return err
		}
	}
	return nil
}

func setNX(t Target) error {
	ok, err := t.Remote.SetNX(ctx, "k", []byte("first"), time.Minute)
	if err != nil || !ok {
		return fmt.Errorf("on an absent key: %v, %v", ok, err)
	}
	if ok, err = t.Remote.SetNX(ctx, "k", []byte("second"), time.Minute); err != nil || ok {
		return fmt.Errorf("on a present key: %v, %v", ok, err)
	}
	return t.expect("k", "first")
}

func setXX(t Target) error {
	ok, err := t.Remote.SetXX(ctx, "k", []byte("first"), time.Minute)
	if err != nil || ok {
		return fmt.Errorf("on an absent key: %v, %v", ok, err)
	}
	if err := t.expectAbsent("k"); err != nil {
		return err
	}
	if err := t.Remote.SetEX(ctx, "k", []byte("first"), time.Minute); err != nil {
		return err
	}
	if ok, err = t.Remote.SetXX(ctx, "k", []byte("second"), time.Minute); err != nil || !ok {
		return fmt.Errorf("on a present key: %v, %v", ok, err)
	}
	return t.expect("k", "second")
}

func setNXConcurrent(t Target) error {
	var (
		wg   sync.WaitGroup
		won  [8]bool
		errs [8]error
	)
	for i := range won {
		wg.Go(func() { won[i], errs[i] = t.Remote.SetNX(ctx, "k", []byte{byte(i)}, time.Minute) })
	}
	wg.Wait()
	winners := 0
	for _, w := range won {
		if w {
			winners++
		}
	}
	if err := errors.Join(errs[:]...); err != nil || winners != 1 {
		return fmt.Errorf("%d winners, %v", winners, err)
	}
	return nil
}

func del(t Target) error {
	if n, err := t.Remote.Del(ctx, "k"); err != nil || n != 0 {
		return fmt.Errorf("of an absent key: %d, %v", n, err)
	}
	if err := t.Remote.SetEX(ctx, "k", []byte("v"), time.Minute); err != nil {
		return err
	}
	if n, err := t.Remote.Del(ctx, "k"); err != nil || n != 1 {
		return fmt.Errorf("of a present key: %d, %v", n, err)
	}
	return t.expectAbsent("k")
}

func mget(t Target) error {
	for _, k := range []string{"a", "b", "empty"} {
		v := []byte("of " + k)
		if k == "empty" {
			v = nil
		}
		if err := t.Remote.SetEX(ctx, k, v, time.Minute); err != nil {
			return err
		}
	}
	got, err := t.Remote.MGet(ctx, "a", "absent", "b", "empty", "a")
	if err != nil {
		return err
	}
	want := map[string]any{"a": "of a", "b": "of b", "empty": ""}
	if len(got) != len(want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	for k, v := range want {
		if got[k] != v {
			return fmt.Errorf("%q is a %T: %v, want the string %q", k, got[k], got[k], v)
		}
	}
	return nil
}

func mset(t Target) error {
	values := map[string]any{"a": []byte("of a"), "b": "of b"}
	if err := t.Remote.MSet(ctx, values, 50*time.Millisecond); err != nil {
		return err
	}
	if err := errors.Join(t.expect("a", "of a"), t.expect("b", "of b")); err != nil {
		return err
	}
	t.advance(100 * time.Millisecond)
	return errors.Join(t.expectAbsent("a"), t.expectAbsent("b"))
}

func empty(t Target) error {
	got, err := t.Remote.MGet(ctx)
	if err != nil || len(got) != 0 {
		return fmt.Errorf("MGet: %v, %v", got, err)
	}
	return t.Remote.MSet(ctx, nil, time.Minute)
}

func lifetimes(t Target) error {
	if err := t.Remote.SetEX(ctx, "300ms", []byte("v"), 300*time.Millisecond); err != nil {
		return err
	}
	if err := t.Remote.SetEX(ctx, "1300ms", []byte("v"), 1300*time.Millisecond); err != nil {
		return err
	}
	if err := t.Remote.SetEX(ctx, "eternal", []byte("v"), 0); err != nil {
		return err
	}
	ok, err := t.Remote.SetNX(ctx, "300ms nx", []byte("v"), 300*time.Millisecond)
	if err != nil || !ok {
		return fmt.Errorf("SetNX: %v, %v", ok, err)
	}
	t.advance(150 * time.Millisecond)
	if err := errors.Join(t.expect("300ms", "v"), t.expect("300ms nx", "v")); err != nil {
		return err
	}
	t.advance(200 * time.Millisecond)
	if err := errors.Join(t.expectAbsent("300ms"), t.expectAbsent("300ms nx"), t.expect("1300ms", "v")); err != nil {
		return err
	}
	t.advance(1100 * time.Millisecond)
	return errors.Join(t.expectAbsent("1300ms"), t.expect("eternal", "v"))
}

func negative(t Target) error {
	if err := t.Remote.SetEX(ctx, "k", []byte("old"), time.Minute); err != nil {
		return err
	}
	for _, d := range []time.Duration{-1, -time.Second} {
		if err := t.Remote.SetEX(ctx, "k", []byte("new"), d); err == nil {
			return fmt.Errorf("SetEX took a lifetime of %s", d)
		}
		if ok, err := t.Remote.SetXX(ctx, "k", []byte("new"), d); err == nil {
			return fmt.Errorf("SetXX took a lifetime of %s: %v", d, ok)
		}
		if err := t.Remote.MSet(ctx, map[string]any{"k": []byte("new")}, d); err == nil {
			return fmt.Errorf("MSet took a lifetime of %s", d)
		}
	}
	return t.expect("k", "old")
}

func cancelled(t Target) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := t.Remote.Get(ctx, "k"); err == nil || errors.Is(err, t.Remote.Nil()) {
		return fmt.Errorf("Get: %v", err)
	}
	if _, err := t.Remote.MGet(ctx, "k"); err == nil {
		return errors.New("MGet: no error")
	}
	if err := t.Remote.SetEX(ctx, "k", []byte("v"), time.Minute); err == nil {
		return errors.New("SetEX: no error")
	}
	return nil
}

// near reports whether a remaining lifetime is what it should be, give or take what
// the calls themselves may take.
func near(got, want time.Duration) bool {
	return got <= want && got > want-500*time.Millisecond
}

func ttlGetter(t Target) error {
	r, ok := t.Remote.(remote.TTLGetter)
	if !ok {
		return nil
	}
	if _, err := r.GetWithTTL(ctx, "absent"); !errors.Is(err, t.Remote.Nil()) {
		return fmt.Errorf("of an absent key: %v, want the error of Nil", err)
	}
	for key, expire := range map[string]time.Duration{"short": 700 * time.Millisecond, "long": time.Hour, "eternal": 0} {
		if err := t.Remote.SetEX(ctx, key, []byte("of "+key), expire); err != nil {
			return err
		}
		one, err := r.GetWithTTL(ctx, key)
		if err != nil {
			return err
		}
		many, err := r.MGetWithTTL(ctx, "absent", key)
		if err != nil || len(many) != 1 {
			return fmt.Errorf("MGetWithTTL: %v, %v", many, err)
		}
		for _, v := range []remote.Value{one, many[key]} {
			if v.Data != "of "+key || (expire == 0) != (v.TTL <= 0) || expire > 0 && !near(v.TTL, expire) {
				return fmt.Errorf("%q with a lifetime of %s is %+v", key, expire, v)
			}
		}
	}
	return nil
}

func itemSetter(t Target) error {
	r, ok := t.Remote.(remote.ItemSetter)
	if !ok {
		return nil
	}
	if err := r.MSetItems(ctx); err != nil {
		return fmt.Errorf("no items: %w", err)
	}
	err := r.MSetItems(ctx,
		remote.Item{Key: "short", Data: []byte("s"), Expire: 50 * time.Millisecond},
		remote.Item{Key: "long", Data: []byte("l"), Expire: time.Minute},
		remote.Item{Key: "eternal"},
	)
	if err != nil {
		return err
	}
	if err := errors.Join(t.expect("short", "s"), t.expect("long", "l"), t.expect("eternal", "")); err != nil {
		return err
	}
	t.advance(100 * time.Millisecond)
	return errors.Join(t.expectAbsent("short"), t.expect("long", "l"), t.expect("eternal", ""))
}

func keysDeleter(t Target) error {
	r, ok := t.Remote.(remote.KeysDeleter)
	if !ok {
		return nil
	}
	if err := r.MDel(ctx); err != nil {
		return fmt.Errorf("no keys: %w", err)
	}
	keys := make([]string, 1200)
	values := make(map[string]any)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		values[keys[i]] = "v"
	}
	if err := t.Remote.MSet(ctx, values, time.Minute); err != nil {
		return err
	}
	if err := r.MDel(ctx, append([]string{"absent"}, keys[1:]...)...); err != nil {
		return err
	}
	found, err := t.Remote.MGet(ctx, keys...)
	if err != nil || len(found) != 1 || found["k0"] != "v" {
		return fmt.Errorf("%d keys are left, want k0 alone (%v)", len(found), err)
	}
	return nil
}

func compareDeleter(t Target) error {
	r, ok := t.Remote.(remote.CompareDeleter)
	if !ok {
		return nil
	}
	if err := t.Remote.SetEX(ctx, "k", []byte("mine"), time.Minute); err != nil {
		return err
	}
	if ok, err := r.CompareAndDelete(ctx, "k", "theirs"); err != nil || ok {
		return fmt.Errorf("of another value: %v, %v", ok, err)
	}
	if err := t.expect("k", "mine"); err != nil {
		return err
	}
	if ok, err := r.CompareAndDelete(ctx, "k", "mine"); err != nil || !ok {
		return fmt.Errorf("of its value: %v, %v", ok, err)
	}
	if ok, err := r.CompareAndDelete(ctx, "k", "mine"); err != nil || ok {
		return fmt.Errorf("of an absent key: %v, %v", ok, err)
	}
	return t.expectAbsent("k")
}
