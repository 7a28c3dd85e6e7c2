package remotetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// abilityChecks are the checks of small optional abilities. A Target without the ability passes.
var abilityChecks = []suitetest.Check[Target]{
	{Name: "items of a batch have lifetimes of their own", Verify: itemSetter},
	{Name: "MDel removes each of its keys", Verify: keysDeleter},
	{Name: "CompareAndDelete removes a key only with the given value", Verify: compareDeleter},
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
