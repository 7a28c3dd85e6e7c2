package remotetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

var closedFenceChecks = []suitetest.Check[Target]{
	{Name: "under a closed fence no loaded value is stored", Verify: fenced(closedRefuses)},
	{Name: "changes leave a closed fence closed", Verify: fenced(closedStays)},
	{Name: "a fence opens when it is reopened under all its tokens", Verify: fenced(reopenByAll)},
	{Name: "ReopenFences reports fences that were not closed any more", Verify: fenced(reopenLost)},
	{Name: "a fence is closed for its ttl at most", Verify: fenced(closedTTL)},
	{Name: "a fence stays closed for the longest ttl", Verify: fenced(closedLongest)},
	{Name: "only CloseFences makes a closed fence live longer", Verify: fenced(closedNotExtended)},
	{Name: "tokens of fences are checked", Verify: fenced(fenceTokens)},
}

// closed fails unless key's fence is closed.
func (f fencer) closed(key string) error {
	if nonce, err := f.open(key); err != nil || !strings.HasPrefix(nonce, "!") {
		return fmt.Errorf("the fence of %q holds %q, want it closed (%v)", key, nonce, err)
	}
	return nil
}

func (f fencer) close(token, key string) error {
	return f.CloseFences(ctx, time.Minute, token, key)
}

func (f fencer) reopen(token, key string) error {
	return f.ReopenFences(ctx, time.Minute, token, key)
}

// reopenLost reopens a fence that is not closed under token. It fails unless the error says so.
func (f fencer) reopenLost(token, key string) error {
	if err := f.reopen(token, key); !errors.Is(err, remote.ErrFenceLost) {
		return fmt.Errorf("reopening the fence of %q, which is not closed under %q: %v, want ErrFenceLost", key, token, err)
	}
	return nil
}

func reopenLost(f fencer) error {
	if err := errors.Join(f.close("t", "held"), f.close("t", "lost")); err != nil {
		return err
	}
	fence, _ := remote.FenceKey("lost")
	if _, err := f.Remote.Del(ctx, fence); err != nil { // as by an eviction
		return err
	}
	nonce, err := f.open("lost")
	if err != nil {
		return err
	}
	if err := f.set(remote.FenceStored, item("lost", "v", nonce)); err != nil {
		return err
	}
	err = f.ReopenFences(ctx, time.Minute, "t", "held", "lost", "never closed")
	if !errors.Is(err, remote.ErrFenceLost) {
		return fmt.Errorf("ReopenFences: %v, want ErrFenceLost", err)
	}
	return errors.Join(
		onlyFailed(err, "lost", "never closed"),
		f.expectAbsent("lost"),
		f.freshNonce("lost", nonce),
		f.freshNonce("held"),
	)
}

func closedRefuses(f fencer) error {
	nonce, err := f.open("k")
	if err != nil {
		return err
	}
	if err := errors.Join(
		f.set(remote.FenceStored, item("k", "v", nonce)),
		f.close("t", "k"),
		f.expectAbsent("k"),
		f.set(remote.FenceChanged, item("k", "v", nonce)),
		f.close("t", "without a fence"),
		f.closed("without a fence"),
	); err != nil {
		return err
	}
	if nonce, err = f.open("k"); err != nil {
		return err
	}
	return errors.Join(
		f.closed("k"),
		f.set(remote.FenceChanged, item("k", "v", nonce)),
		f.expectAbsent("k"),
	)
}

func closedStays(f fencer) error {
	return errors.Join(
		f.close("t", "k"),
		f.set(remote.FenceStored, renewing("k", "v", "")),
		f.expect("k", "v"),
		f.closed("k"),
		f.DelFenced(ctx, time.Minute, "k"),
		f.expectAbsent("k"),
		f.closed("k"),
		f.reopen("t", "k"),
		f.freshNonce("k"),
	)
}

func reopenByAll(f fencer) error {
	before, err := f.open("k")
	if err != nil {
		return err
	}
	if err := errors.Join(
		f.close("a", "k"), f.close("ab", "k"), f.close("b", "k"),
		f.close("a", "k"), // a second time changes nothing
		f.reopen("a", "k"), f.closed("k"),
		f.reopenLost("a", "k"), f.reopenLost("c", "k"), f.closed("k"),
		f.reopen("b", "k"), f.closed("k"),
		f.set(remote.FenceStored, item("k", "v", "")),
		f.reopen("ab", "k"),
		f.expectAbsent("k"),
		f.freshNonce("k", before),
	); err != nil {
		return err
	}
	// An open fence gets a fresh nonce, too, and so does a key without a fence.
	nonce, err := f.open("k")
	if err != nil {
		return err
	}
	return errors.Join(
		f.set(remote.FenceStored, item("k", "v", nonce)),
		f.reopenLost("ab", "k"),
		f.expectAbsent("k"),
		f.freshNonce("k", nonce),
		f.reopenLost("t", "never opened"),
		f.freshNonce("never opened"),
	)
}

func closedTTL(f fencer) error {
	const short = 400 * time.Millisecond
	if err := errors.Join(
		f.CloseFences(ctx, short, "a", "k"),
		f.CloseFences(ctx, short, "a", "others"),
		f.CloseFences(ctx, short, "b", "others"),
		f.ReopenFences(ctx, time.Minute, "b", "others"), // it does not make the other token's ttl longer
	); err != nil {
		return err
	}
	nonces, err := f.OpenFences(ctx, time.Millisecond, "k", "others")
	if err != nil || !strings.HasPrefix(nonces[0], "!") || !strings.HasPrefix(nonces[1], "!") {
		return fmt.Errorf("closed fences hold %q, %v", nonces, err)
	}
	f.advance(short + 50*time.Millisecond)
	return errors.Join(f.freshNonce("k"), f.freshNonce("others"))
}

func closedLongest(f fencer) error {
	const short = 50 * time.Millisecond
	if err := errors.Join(
		f.close("a", "closed"), f.CloseFences(ctx, short, "b", "closed"),
		f.close("a", "deleted"), f.DelFenced(ctx, short, "deleted"),
		f.CloseFences(ctx, short, "a", "late"), f.close("b", "late"),
		f.close("a", "reopened"), f.close("b", "reopened"), f.ReopenFences(ctx, short, "b", "reopened"),
	); err != nil {
		return err
	}
	f.advance(2 * short)
	return errors.Join(f.closed("closed"), f.closed("deleted"), f.closed("late"), f.closed("reopened"))
}

func closedNotExtended(f fencer) error {
	const short = 400 * time.Millisecond
	keys := []string{"opened", "set", "deleted"}
	if err := f.CloseFences(ctx, short, "a", keys...); err != nil {
		return err
	}
	_, opened := f.OpenFences(ctx, time.Minute, "opened")
	_, set := f.SetFenced(ctx, time.Minute, remote.FencedItem{Item: remote.Item{Key: "set", Data: []byte("v")}, Renew: true})
	if err := errors.Join(opened, set, f.DelFenced(ctx, time.Minute, "deleted")); err != nil {
		return err
	}
	f.advance(short + 50*time.Millisecond)
	return errors.Join(f.freshNonce("opened"), f.freshNonce("set"), f.freshNonce("deleted"))
}

func fenceTokens(f fencer) error {
	for _, token := range []string{"", "a,b", "!a", "a;b"} {
		if f.close(token, "k") == nil || f.reopen(token, "k") == nil {
			return fmt.Errorf("the token %q is no error", token)
		}
	}
	if _, err := f.OpenFences(ctx, 0, "k"); err == nil {
		return errors.New("a ttl of zero is no error")
	}
	return f.freshNonce("k")
}
