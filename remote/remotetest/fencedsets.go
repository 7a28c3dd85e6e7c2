package remotetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var fencedSetChecks = []suitetest.Check[Target]{
	{Name: "SetFenced stores only under the nonce of the fence", Verify: fenced(setUnderNonce)},
	{Name: "SetFenced renews the fences of items that ask for it", Verify: fenced(setRenews)},
	{Name: "SetFenced stores only if the key is absent, or present", Verify: fenced(setConditions)},
	{Name: "lifetimes of SetFenced are exact to the millisecond", Verify: fenced(setLifetimes)},
	{Name: "of concurrent SetFenced that renew one fence, one stores", Verify: fenced(setConcurrent)},
}

// set stores an item, for a minute if it has no lifetime. It fails unless the outcome is want.
func (f fencer) set(want remote.FenceOutcome, item remote.FencedItem) error {
	if item.Expire == 0 {
		item.Expire = time.Minute
	}
	outcomes, err := f.SetFenced(ctx, time.Minute, item)
	if err != nil || len(outcomes) != 1 || outcomes[0] != want {
		return fmt.Errorf("SetFenced of %q under %q: %v, %v, want %v", item.Key, item.Nonce, outcomes, err, want)
	}
	return nil
}

func item(key, value, nonce string) remote.FencedItem {
	return remote.FencedItem{Item: remote.Item{Key: key, Data: []byte(value)}, Nonce: nonce}
}

// renewing returns an item that renews its fence.
func renewing(key, value, nonce string) remote.FencedItem {
	i := item(key, value, nonce)
	i.Renew = true
	return i
}

func setUnderNonce(f fencer) error {
	nonce, err := f.open("k")
	if err != nil {
		return err
	}
	if err := f.set(remote.FenceChanged, item("k", "v", "another")); err != nil {
		return err
	}
	if err := f.expectAbsent("k"); err != nil {
		return err
	}
	if err := f.set(remote.FenceStored, item("k", "first", nonce)); err != nil {
		return err
	}
	if err := errors.Join(
		f.set(remote.FenceChanged, item("k", "second", "another")),
		f.expect("k", "first"),
		f.sameNonce("k", nonce),
		f.set(remote.FenceStored, item("k", "third", "")),
		f.expect("k", "third"),
		f.sameNonce("k", nonce),
	); err != nil {
		return err
	}
	// A missing fence does not hold the nonce.
	if err := f.set(remote.FenceChanged, item("never opened", "v", nonce)); err != nil {
		return err
	}
	return f.expectAbsent("never opened")
}

func setRenews(f fencer) error {
	nonce, err := f.open("k")
	if err != nil {
		return err
	}
	if err := errors.Join(
		f.set(remote.FenceChanged, renewing("k", "v", "another")),
		f.sameNonce("k", nonce),
		f.set(remote.FenceStored, renewing("k", "by nonce", nonce)),
		f.expect("k", "by nonce"),
		f.set(remote.FenceChanged, item("k", "void", nonce)),
	); err != nil {
		return err
	}
	second, err := f.open("k")
	if err != nil {
		return err
	}
	if err := errors.Join(
		f.set(remote.FenceStored, renewing("k", "anyway", "")),
		f.expect("k", "anyway"),
		f.freshNonce("k", nonce, second),
		f.set(remote.FenceStored, renewing("no fence", "v", "")),
	); err != nil {
		return err
	}
	// The new fence lives for ttl.
	const short = 100 * time.Millisecond
	if _, err := f.SetFenced(ctx, short, renewing("short", "v", "")); err != nil {
		return err
	}
	nonce, err = f.openFor("short", time.Millisecond)
	if err != nil {
		return err
	}
	f.advance(2 * short)
	return f.freshNonce("short", nonce)
}

func setConditions(f fencer) error {
	absent := func(key, value string, renew bool) remote.FencedItem {
		i := item(key, value, "")
		i.IfAbsent, i.Renew = true, renew
		return i
	}
	present := func(key, value, nonce string) remote.FencedItem {
		i := item(key, value, nonce)
		i.IfPresent = true
		return i
	}
	nonce, err := f.open("k")
	if err != nil {
		return err
	}
	if err := errors.Join(
		f.set(remote.FenceCondition, present("k", "zeroth", nonce)),
		f.expectAbsent("k"),
		f.set(remote.FenceStored, absent("k", "first", false)),
		f.set(remote.FenceCondition, absent("k", "second", true)),
		f.expect("k", "first"),
		f.sameNonce("k", nonce), // a refused item renews no fence
		f.set(remote.FenceStored, present("k", "third", nonce)),
		f.set(remote.FenceChanged, present("k", "fourth", "another")),
		f.expect("k", "third"),
	); err != nil {
		return err
	}
	both := absent("k", "both", false)
	both.IfPresent = true
	if outcomes, err := f.SetFenced(ctx, time.Minute, both); err == nil {
		return fmt.Errorf("both conditions: %v, want an error", outcomes)
	}
	return f.expect("k", "third")
}

func setLifetimes(f fencer) error {
	short, eternal, negative := item("short", "v", ""), item("eternal", "v", ""), item("negative", "v", "")
	short.Expire, negative.Expire = 300*time.Millisecond, -1
	outcomes, err := f.SetFenced(ctx, 50*time.Millisecond, negative, short, eternal)
	if want := []remote.FenceOutcome{remote.FenceUnknown, remote.FenceStored, remote.FenceStored}; !slices.Equal(outcomes, want) {
		return fmt.Errorf("%v, want %v", outcomes, want)
	}
	if err := onlyFailed(err, "negative"); err != nil {
		return err
	}
	f.advance(150 * time.Millisecond)
	if err := errors.Join(f.expectAbsent("negative"), f.expect("short", "v"), f.expect("eternal", "v")); err != nil {
		return err
	}
	f.advance(200 * time.Millisecond)
	return errors.Join(f.expectAbsent("short"), f.expect("eternal", "v"))
}

func setConcurrent(f fencer) error {
	nonce, err := f.open("k")
	if err != nil {
		return err
	}
	var (
		wg       sync.WaitGroup
		outcomes [8][]remote.FenceOutcome
		errs     [8]error
	)
	for i := range outcomes {
		wg.Go(func() {
			outcomes[i], errs[i] = f.SetFenced(ctx, time.Minute, renewing("k", fmt.Sprint(i), nonce))
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	stored := 0
	for _, o := range outcomes {
		if o[0] == remote.FenceStored {
			stored++
		}
	}
	if stored != 1 {
		return fmt.Errorf("%d were stored under one nonce: %v", stored, outcomes)
	}
	return nil
}
