// Package localtest is the suite of checks that every local.Local has to pass. Run it in a test of
// your own store:
//
//	func TestStore(t *testing.T) {
//		localtest.Run(t, func(t *testing.T) local.Local { return mystore.New(10_000) })
//	}
package localtest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/local"
)

// Run runs each check as a subtest, on a new store that create returns. The optional abilities of
// package local are checked if the store has them.
//
// Each subtest runs in a bubble of testing/synctest, so create has to register a cleanup that closes
// a store with goroutines. The store must have room for 1,000 small entries. Its TTL must be a
// minute or more, or its entries must not expire.
func Run(t *testing.T, create func(t *testing.T) local.Local) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if err := suitetest.Verify(checks, c.Name, create(t)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

var checks = []suitetest.Check[local.Local]{
	{Name: "a key can be read right after Set", Verify: setGet},
	{Name: "a key that was never set is a miss", Verify: missing},
	{Name: "a later value replaces an earlier one", Verify: overwrite},
	{Name: "a deleted key is a miss", Verify: del},
	{Name: "any bytes come back unchanged", Verify: anyBytes},
	{Name: "different keys are never mixed up", Verify: anyKey},
	{Name: "1,000 small entries have room", Verify: room},
	{Name: "the last write after concurrent ones stays", Verify: concurrentWrites},
	{Name: "a deleted key does not come back among concurrent readers", Verify: concurrentDelete},
	{Name: "an entry with a TTL of its own ends on time", Verify: ttl},
	{Name: "a TTL of its own does not hold for the next value", Verify: ttlReplaced},
	{Name: "a TTL of zero or less removes the key", Verify: ttlZero},
	{Name: "the longest TTLs keep an entry", Verify: ttlLongest},
	{Name: "GetEntry returns the same entry until the next write", Verify: entrySame},
	{Name: "a kept value is gone after the next write", Verify: entryReplaced},
	{Name: "GetEntry does not keep the string of the key", Verify: entryKey},
	{Name: "ReplaceEntry replaces only the current entry", Verify: entryReplace},
	{Name: "an entry ends when the one that it replaced would have ended", Verify: entryReplaceTTL},
	{Name: "an entry is fresh, early, stale and gone at exact times", Verify: lifePhases},
	{Name: "GetWithLife tells what is left and the age", Verify: lifeTimes},
	{Name: "at most half of the fresh time is early", Verify: lifeEarlyCapped},
	{Name: "writes replace stale entries", Verify: lifeReplaced},
	{Name: "without a TTL of its own, an entry is fresh for the store's TTL", Verify: lifeOfStore},
	{Name: "entries with a life survive concurrent use", Verify: lifeConcurrent},
	{Name: "an entry has the life of the one that it replaced", Verify: lifeOfReplaced},
}

func expect(s local.Local, key, want string) error {
	got, ok := s.Get(key)
	if !ok {
		return fmt.Errorf("%q is a miss, want %q", key, want)
	}
	if string(got) != want {
		return fmt.Errorf("%q is %q, want %q", key, got, want)
	}
	return nil
}

func expectMiss(s local.Local, key string) error {
	if got, ok := s.Get(key); ok {
		return fmt.Errorf("%q is %q, want a miss", key, got)
	}
	return nil
}

func setGet(s local.Local) error {
	s.Set("k", []byte("v"))
	return expect(s, "k", "v")
}

func missing(s local.Local) error {
	s.Set("k", []byte("v"))
	return errors.Join(expectMiss(s, "other"), expectMiss(s, ""))
}

func overwrite(s local.Local) error {
	for i, v := range []string{"first", "a longer second value", "3", "a longer second value", strings.Repeat("x", 200)} {
		s.Set("k", []byte(v))
		if err := expect(s, "k", v); err != nil {
			return fmt.Errorf("after %d writes: %w", i+1, err)
		}
	}
	return nil
}

func del(s local.Local) error {
	s.Del("never set")
	s.Set("k", []byte("v"))
	s.Set("other", []byte("w"))
	s.Del("k")
	if err := errors.Join(expectMiss(s, "k"), expect(s, "other", "w")); err != nil {
		return err
	}
	s.Set("k", []byte("again"))
	return expect(s, "k", "again")
}

func anyBytes(s local.Local) error {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, v := range [][]byte{{}, {0}, {'*'}, all, bytes.Repeat([]byte("x"), 400)} {
		key := strconv.Itoa(i)
		s.Set(key, bytes.Clone(v))
		if err := expect(s, key, string(v)); err != nil {
			return err
		}
	}
	s.Set("nil", nil)
	return expect(s, "nil", "")
}

func anyKey(s local.Local) error {
	keys := []string{"a", "a:", ":a", "a b", "A", "ä", "a\x00", "\x00a", "\xff\xfe", strings.Repeat("k", 300), "{a}", "*"}
	for _, k := range keys {
		s.Set(k, []byte("of "+k))
	}
	for _, k := range keys {
		if err := expect(s, k, "of "+k); err != nil {
			return err
		}
	}
	return nil
}

func room(s local.Local) error {
	const n = 1000
	for i := range n {
		s.Set(strconv.Itoa(i), []byte("v"))
	}
	found := 0
	for i := range n {
		if _, ok := s.Get(strconv.Itoa(i)); ok {
			found++
		}
	}
	if found < n*95/100 {
		return fmt.Errorf("of %d small entries, the store has %d", n, found)
	}
	return nil
}

func concurrentWrites(s local.Local) error {
	for round := range 50 {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 5 {
					s.Set("k", fmt.Appendf(nil, "%d.%d.%d", round, g, i))
					s.Get("k")
				}
			})
		}
		wg.Wait()
		last := fmt.Sprint("last of round ", round)
		s.Set("k", []byte(last))
		if err := expect(s, "k", last); err != nil {
			return err
		}
		s.Del("k")
		if err := expectMiss(s, "k"); err != nil {
			return err
		}
	}
	return nil
}

func concurrentDelete(s local.Local) error {
	for round := range 50 {
		key := fmt.Sprint("k", round)
		s.Set(key, []byte("v"))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 10 {
					s.Get(key)
				}
			})
		}
		s.Del(key)
		if err := expectMiss(s, key); err != nil {
			return err
		}
		wg.Wait()
		if err := expectMiss(s, key); err != nil {
			return fmt.Errorf("after the readers: %w", err)
		}
	}
	return nil
}

func ttl(s local.Local) error {
	t, ok := s.(local.TTLSetter)
	if !ok {
		return nil
	}
	for _, ttl := range []time.Duration{5 * time.Millisecond, 300 * time.Millisecond, 1500 * time.Millisecond, 20 * time.Second} {
		key := ttl.String()
		t.SetWithTTL(key, []byte("v"), ttl)
		time.Sleep(ttl - time.Millisecond)
		if err := expect(s, key, "v"); err != nil {
			return fmt.Errorf("1ms before its end: %w", err)
		}
		time.Sleep(time.Millisecond)
		if err := expectMiss(s, key); err != nil {
			return fmt.Errorf("at its end: %w", err)
		}
	}
	return nil
}

func ttlReplaced(s local.Local) error {
	t, ok := s.(local.TTLSetter)
	if !ok {
		return nil
	}
	t.SetWithTTL("k", []byte("short"), 100*time.Millisecond)
	s.Set("k", []byte("long"))
	t.SetWithTTL("l", []byte("short"), 100*time.Millisecond)
	t.SetWithTTL("l", []byte("longer"), 10*time.Second)
	time.Sleep(5 * time.Second)
	return errors.Join(expect(s, "k", "long"), expect(s, "l", "longer"))
}

func ttlZero(s local.Local) error {
	t, ok := s.(local.TTLSetter)
	if !ok {
		return nil
	}
	for _, ttl := range []time.Duration{0, -time.Second} {
		s.Set("k", []byte("v"))
		t.SetWithTTL("k", []byte("w"), ttl)
		if err := expectMiss(s, "k"); err != nil {
			return fmt.Errorf("after SetWithTTL with %s: %w", ttl, err)
		}
	}
	return nil
}

func ttlLongest(s local.Local) error {
	t, ok := s.(local.TTLSetter)
	if !ok {
		return nil
	}
	const year = 365 * 24 * time.Hour
	for _, ttl := range []time.Duration{10 * year, 100 * year, math.MaxInt64 / 2, math.MaxInt64 - time.Second, math.MaxInt64 - 1, math.MaxInt64} {
		s.Set("k", []byte("old"))
		t.SetWithTTL("k", []byte("v"), ttl)
		for range 2 {
			if err := expect(s, "k", "v"); err != nil {
				return fmt.Errorf("with a TTL of %s: %w", ttl, err)
			}
			time.Sleep(time.Second)
		}
	}
	return nil
}
