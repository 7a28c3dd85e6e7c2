// Package remotetest has the suites that a remote.Remote and a remote.Bus must pass, and a Remote
// and a Bus in memory for tests. Run the suite in a test of your own Remote:
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

// Target is a Remote under test. It must have no keys.
type Target struct {
	Remote remote.Remote
	// Advance makes time pass for the Remote, such as the clock of a fake server. The default, for
	// nil, is time.Sleep.
	Advance func(time.Duration)
}

// Run verifies the properties of a Remote, each in a subtest of its own, with a Target that create
// returns for it. A Remote without an optional ability passes the checks of that ability.
func Run(t *testing.T, create func(t *testing.T) Target) {
	t.Helper()
	suitetest.Run(t, checks, create)
}

var checks = slices.Concat(basicChecks, lifetimeChecks, abilityChecks, fenceChecks, fencedSetChecks, closedFenceChecks, leaseChecks, leasedLoadChecks)

var basicChecks = []suitetest.Check[Target]{
	{Name: "a value that was set can be read", Verify: setGet},
	{Name: "an absent key is the error of Nil", Verify: absent},
	{Name: "a later value replaces an earlier one and its lifetime", Verify: overwrite},
	{Name: "values of any bytes, also of none, are read as they were set", Verify: anyBytes},
	{Name: "SetNX stores only if absent", Verify: setNX},
	{Name: "SetXX stores only if present", Verify: setXX},
	{Name: "of concurrent SetNX one wins", Verify: setNXConcurrent},
	{Name: "Del removes and counts", Verify: del},
	{Name: "MGet returns the values that are present, as strings", Verify: mget},
	{Name: "MSet stores each value", Verify: mset},
	{Name: "an empty batch is no error", Verify: empty},
	{Name: "a cancelled context ends the call with an error", Verify: cancelled},
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
