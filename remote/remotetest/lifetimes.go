package remotetest

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var lifetimeChecks = []suitetest.Check[Target]{
	{Name: "lifetimes are exact to the millisecond", Verify: lifetimes},
	{Name: "a negative lifetime is an error and changes nothing", Verify: negative},
	{Name: "a very long lifetime is no error and does not end at once", Verify: longLifetimes},
	{Name: "a very long ttl of a fence is no error and does not end at once", Verify: fenced(longFences)},
	{Name: "a very long ttl of a lease is no error and does not end at once", Verify: leased(longLeases)},
	{Name: "the remaining lifetime comes with the value", Verify: ttlGetter},
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

// veryLong are lifetimes that overflow if they are rounded up, or are added to a moment, without
// care. A Remote may shorten them, to years at least.
var veryLong = []time.Duration{math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64 - time.Second/3}

// longEnough fails if a value that was stored for one of veryLong has ended, or will end soon.
func (t Target) longEnough(keys ...string) error {
	t.advance(50 * time.Millisecond)
	for _, key := range keys {
		if err := t.expect(key, "v"); err != nil {
			return err
		}
		r, ok := t.Remote.(remote.TTLGetter)
		if !ok {
			continue
		}
		if v, err := r.GetWithTTL(ctx, key); err != nil || v.TTL > 0 && v.TTL < 365*24*time.Hour {
			return fmt.Errorf("%q has %s left, %v, want years", key, v.TTL, err)
		}
	}
	return nil
}

func longLifetimes(t Target) error {
	for i, d := range veryLong {
		key := func(op string) string { return fmt.Sprint(op, i) }
		nx, nxErr := t.Remote.SetNX(ctx, key("nx"), []byte("v"), d)
		if err := errors.Join(
			nxErr,
			t.Remote.SetEX(ctx, key("ex"), []byte("v"), d),
			t.Remote.SetEX(ctx, key("xx"), []byte("old"), time.Minute),
			t.Remote.MSet(ctx, map[string]any{key("mset"): "v"}, d),
		); err != nil {
			return fmt.Errorf("a lifetime of %s: %w", d, err)
		}
		xx, err := t.Remote.SetXX(ctx, key("xx"), []byte("v"), d)
		if err != nil || !nx || !xx {
			return fmt.Errorf("a lifetime of %s: SetNX stored: %v, SetXX stored: %v, %v", d, nx, xx, err)
		}
		keys := []string{key("nx"), key("ex"), key("mset"), key("xx")}
		if r, ok := t.Remote.(remote.ItemSetter); ok {
			keys = append(keys, key("item"))
			if err := r.MSetItems(ctx, remote.Item{Key: key("item"), Data: []byte("v"), Expire: d}); err != nil {
				return fmt.Errorf("MSetItems, a lifetime of %s: %w", d, err)
			}
		}
		if err := t.longEnough(keys...); err != nil {
			return fmt.Errorf("a lifetime of %s: %w", d, err)
		}
	}
	return nil
}

func longFences(f fencer) error {
	for i, d := range veryLong {
		key := func(op string) string { return fmt.Sprint(op, i) }
		nonces, err := f.OpenFences(ctx, d, key("open"))
		if err != nil {
			return fmt.Errorf("OpenFences, a ttl of %s: %w", d, err)
		}
		stored := renewing(key("set"), "v", "")
		stored.Expire = d
		_, setErr := f.SetFenced(ctx, d, stored)
		if err := errors.Join(
			setErr,
			f.DelFenced(ctx, d, key("del")),
			f.CloseFences(ctx, time.Minute, "a", key("close")),
			f.CloseFences(ctx, d, "b", key("close")),
			f.close("a", key("reopen")), f.ReopenFences(ctx, d, "a", key("reopen")),
		); err != nil {
			return fmt.Errorf("a ttl of %s: %w", d, err)
		}
		set, setErr := f.openFor(key("set"), time.Millisecond)
		del, delErr := f.openFor(key("del"), time.Millisecond)
		reopened, reopenErr := f.openFor(key("reopen"), time.Millisecond)
		if err := errors.Join(setErr, delErr, reopenErr, f.longEnough(key("set"))); err != nil {
			return fmt.Errorf("a ttl of %s: %w", d, err)
		}
		if err := errors.Join(
			f.sameNonce(key("open"), nonces[0]), f.sameNonce(key("set"), set), f.sameNonce(key("del"), del),
			f.sameNonce(key("reopen"), reopened), f.closed(key("close")),
		); err != nil {
			return fmt.Errorf("a ttl of %s: %w", d, err)
		}
	}
	return nil
}

func longLeases(l leaser) error {
	for i, d := range veryLong {
		key := fmt.Sprint("k", i)
		answers, err := l.AcquireLeases(ctx, d, remote.LeaseAsk{Key: key, Token: "a"})
		if err != nil || answers[0] != won {
			return fmt.Errorf("AcquireLeases, a ttl of %s: %v, %v", d, answers, err)
		}
		l.advance(50 * time.Millisecond)
		if err := l.ask(heldBy("a"), key, "b", ""); err != nil {
			return fmt.Errorf("a ttl of %s: %w", d, err)
		}
		if wanted, err := l.ReleaseLeases(ctx, d, remote.LeaseEnd{Key: key, Token: "a", Failure: "failure"}); err != nil || !wanted[0] {
			return fmt.Errorf("ReleaseLeases, a ttl of %s: %v, %v", d, wanted, err)
		}
		l.advance(50 * time.Millisecond)
		if err := l.ask(failedWith("failure"), key, "b", "a"); err != nil {
			return fmt.Errorf("a ttl of %s: %w", d, err)
		}
	}
	return nil
}

// near reports whether a remaining lifetime is want, less the time that the calls may take.
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
