package remotetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryPasses(t *testing.T) {
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if err := suitetest.Verify(checks, c.Name, Target{Remote: NewMemory()}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestMemoryLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		m.SetLatency(3 * time.Millisecond)
		start := time.Now()
		_, err := m.Get(ctx, "k")
		if took := time.Since(start); !errors.Is(err, ErrNil) || took != 3*time.Millisecond {
			t.Errorf("Get took %s, %v", took, err)
		}
		ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := m.SetEX(ctx, "k", "v", 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call whose ctx ends first: %v", err)
		}
		if _, ok := m.Peek("k"); ok {
			t.Error("a call that failed stored its value")
		}
	})
}

func TestMemoryFaults(t *testing.T) {
	m := NewMemory()
	boom := errors.New("boom")
	var seen []string
	m.SetFault(func(_ context.Context, op string, keys ...string) error {
		seen = append(seen, op+" "+strings.Join(keys, ","))
		return boom
	})
	m.Put("k", "v")
	_, getErr := m.Get(ctx, "k")
	_, mgetErr := m.MGet(ctx, "k", "l")
	_, delErr := m.Del(ctx, "k")
	_, nxErr := m.SetNX(ctx, "k", "v", 0)
	_, xxErr := m.SetXX(ctx, "k", "v", 0)
	_, cadErr := m.CompareAndDelete(ctx, "k", "v")
	_, openErr := m.OpenFences(ctx, time.Minute, "k", "l")
	_, setErr := m.SetFenced(ctx, time.Minute, remote.FencedItem{Item: remote.Item{Key: "k"}})
	_, askErr := m.AcquireLeases(ctx, time.Minute, remote.LeaseAsk{Key: "k", Token: "t"})
	_, endErr := m.ReleaseLeases(ctx, time.Minute, remote.LeaseEnd{Key: "k", Token: "t"})
	for i, err := range []error{
		getErr, mgetErr, delErr, nxErr, xxErr, cadErr, openErr, setErr, askErr, endErr,
		m.SetEX(ctx, "k", "w", 0), m.MSet(ctx, map[string]any{"k": "w"}, 0), m.MSetItems(ctx, remote.Item{Key: "k"}), m.MDel(ctx, "k"),
		m.DelFenced(ctx, time.Minute, "k"), m.CloseFences(ctx, time.Minute, "t", "k"), m.ReopenFences(ctx, time.Minute, "t", "k"),
	} {
		if !errors.Is(err, boom) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if want := "get k;mget k,l;del k;setnx k;setxx k;compareAndDelete k;openFences k,l;setFenced k;acquireLeases k;releaseLeases k;" +
		"set k;mset k;mset k;del k;delFenced k;closeFences k;reopenFences k"; strings.Join(seen, ";") != want {
		t.Errorf("the fault saw %q, want %q", seen, want)
	}
	if v, _ := m.Peek("k"); v != "v" {
		t.Errorf("calls that failed changed the value to %q", v)
	}
	if m.Calls("mset") != 2 || m.Calls("get") != 1 {
		t.Errorf("counted %d msets, %d gets", m.Calls("mset"), m.Calls("get"))
	}
	m.SetFault(nil)
	if v, err := m.Get(ctx, "k"); v != "v" || err != nil {
		t.Errorf("without the fault: %q, %v", v, err)
	}
}

// Each broken Remote is a Memory with one fault.

type brokenForgets struct{ *Memory }

func (brokenForgets) SetEX(context.Context, string, any, time.Duration) error { return nil }

type brokenNil struct{ *Memory }

func (brokenNil) Nil() error { return errors.New("another") }

type brokenKeepsTTL struct{ *Memory }

func (b brokenKeepsTTL) SetEX(ctx context.Context, key string, v any, d time.Duration) error {
	if ttl, ok := b.TTL(key); ok && ttl > 0 {
		d = ttl
	}
	return b.Memory.SetEX(ctx, key, v, d)
}

type brokenTrims struct{ *Memory }

func (b brokenTrims) SetEX(ctx context.Context, key string, v any, d time.Duration) error {
	if data, ok := v.([]byte); ok {
		v = strings.TrimSpace(string(data))
	}
	return b.Memory.SetEX(ctx, key, v, d)
}

type brokenNX struct{ *Memory }

func (b brokenNX) SetNX(ctx context.Context, key string, v any, d time.Duration) (bool, error) {
	return true, b.SetEX(ctx, key, v, d)
}

type brokenRacyNX struct{ *Memory }

func (b brokenRacyNX) SetNX(ctx context.Context, key string, v any, d time.Duration) (bool, error) {
	_, there := b.Peek(key)
	time.Sleep(time.Millisecond)
	if there {
		return false, nil
	}
	return true, b.SetEX(ctx, key, v, d)
}

type brokenXX struct{ *Memory }

func (b brokenXX) SetXX(ctx context.Context, key string, v any, d time.Duration) (bool, error) {
	return true, b.SetEX(ctx, key, v, d)
}

type brokenDel struct{ *Memory }

func (b brokenDel) Del(ctx context.Context, key string) (int64, error) {
	_, err := b.Memory.Del(ctx, key)
	return 1, err
}

type brokenMGet struct{ *Memory }

func (b brokenMGet) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	m, err := b.Memory.MGet(ctx, keys...)
	for _, k := range keys {
		if _, ok := m[k]; !ok {
			m[k] = nil
		}
	}
	return m, err
}

type brokenMSet struct{ *Memory }

func (b brokenMSet) MSet(ctx context.Context, values map[string]any, _ time.Duration) error {
	return b.Memory.MSet(ctx, values, 0)
}

type brokenEmpty struct{ *Memory }

func (b brokenEmpty) MSet(ctx context.Context, values map[string]any, d time.Duration) error {
	if len(values) == 0 {
		return errors.New("wrong number of arguments")
	}
	return b.Memory.MSet(ctx, values, d)
}

type brokenDeaf struct{ *Memory }

func (b brokenDeaf) Get(_ context.Context, key string) (string, error) {
	return b.Memory.Get(context.Background(), key)
}

type brokenItems struct{ *Memory }

func (b brokenItems) MSetItems(ctx context.Context, items ...remote.Item) error {
	values := map[string]any{}
	for _, item := range items {
		values[item.Key] = item.Data
	}
	return b.MSet(ctx, values, time.Minute)
}

type brokenMDel struct{ *Memory }

func (b brokenMDel) MDel(ctx context.Context, keys ...string) error {
	if len(keys) > 500 {
		keys = keys[:500]
	}
	return b.Memory.MDel(ctx, keys...)
}

type brokenCompare struct{ *Memory }

func (b brokenCompare) CompareAndDelete(ctx context.Context, key, _ string) (bool, error) {
	n, err := b.Del(ctx, key)
	return n > 0, err
}

// brokenRemote is a Remote that must fail a check.
type brokenRemote struct {
	broken func(*Memory) remote.Remote
	check  string
}

func TestTheSuiteCatchesBrokenRemotes(t *testing.T) {
	tests := slices.Concat(brokenLifetimes, brokenFences, brokenLeases, brokenLeasedLoads, []brokenRemote{
		{func(m *Memory) remote.Remote { return brokenForgets{m} }, "a value that was set can be read"},
		{func(m *Memory) remote.Remote { return brokenNil{m} }, "an absent key is the error of Nil"},
		{func(m *Memory) remote.Remote { return brokenKeepsTTL{m} }, "a later value replaces an earlier one and its lifetime"},
		{func(m *Memory) remote.Remote { return brokenTrims{m} }, "values of any bytes, also of none, are read as they were set"},
		{func(m *Memory) remote.Remote { return brokenNX{m} }, "SetNX stores only if absent"},
		{func(m *Memory) remote.Remote { return brokenXX{m} }, "SetXX stores only if present"},
		{func(m *Memory) remote.Remote { return brokenRacyNX{m} }, "of concurrent SetNX one wins"},
		{func(m *Memory) remote.Remote { return brokenDel{m} }, "Del removes and counts"},
		{func(m *Memory) remote.Remote { return brokenMGet{m} }, "MGet returns the values that are present, as strings"},
		{func(m *Memory) remote.Remote { return brokenMSet{m} }, "MSet stores each value"},
		{func(m *Memory) remote.Remote { return brokenEmpty{m} }, "an empty batch is no error"},
		{func(m *Memory) remote.Remote { return brokenDeaf{m} }, "a cancelled context ends the call with an error"},
		{func(m *Memory) remote.Remote { return brokenItems{m} }, "items of a batch have lifetimes of their own"},
		{func(m *Memory) remote.Remote { return brokenMDel{m} }, "MDel removes each of its keys"},
		{func(m *Memory) remote.Remote { return brokenCompare{m} }, "CompareAndDelete removes a key only with the given value"},
	})
	covered := map[string]bool{}
	for _, tt := range tests {
		covered[tt.check] = true
		t.Run(fmt.Sprintf("%T", tt.broken(nil)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if suitetest.Verify(checks, tt.check, Target{Remote: tt.broken(NewMemory())}) == nil {
					t.Errorf("it passes %q", tt.check)
				}
			})
		})
	}
	for _, c := range checks {
		if !covered[c.Name] {
			t.Errorf("there is no broken Remote that fails %q", c.Name)
		}
	}
}
