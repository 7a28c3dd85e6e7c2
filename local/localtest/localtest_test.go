package localtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLocal is a store that works. Each broken store changes one thing in it.
type fakeLocal struct {
	mu sync.Mutex
	m  map[string]entry // guarded by mu
}

type entry struct {
	data []byte
	end  time.Time // zero if it does not expire
}

func newFake() *fakeLocal { return &fakeLocal{m: map[string]entry{}} }

func (f *fakeLocal) put(key string, data []byte, end time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m[key] = entry{data, end}
}

func (f *fakeLocal) Set(key string, data []byte) { f.put(key, data, time.Time{}) }

func (f *fakeLocal) SetWithTTL(key string, data []byte, ttl time.Duration) {
	f.put(key, data, time.Now().Add(ttl))
}

func (f *fakeLocal) Get(key string) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.m[key]
	if !ok || !e.end.IsZero() && !time.Now().Before(e.end) {
		return nil, false
	}
	return e.data, true
}

func (f *fakeLocal) Del(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.m, key)
}

// fakeEntries is a store that works and has entries.
type fakeEntries struct {
	*fakeLocal
	entries map[string]*local.Entry // guarded by mu
}

func newFakeEntries() *fakeEntries {
	return &fakeEntries{newFake(), map[string]*local.Entry{}}
}

func (f *fakeEntries) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.entries, strings.Clone(key))
}

func (f *fakeEntries) Set(key string, data []byte) {
	f.forget(key)
	f.fakeLocal.Set(key, data)
}

func (f *fakeEntries) SetWithTTL(key string, data []byte, ttl time.Duration) {
	f.forget(key)
	f.fakeLocal.SetWithTTL(key, data, ttl)
}

func (f *fakeEntries) GetEntry(key string) (*local.Entry, bool) {
	data, ok := f.Get(key)
	if !ok {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entries[key] == nil {
		f.entries[strings.Clone(key)] = local.NewEntry(data)
	}
	return f.entries[key], true
}

func (f *fakeEntries) EntriesOf() local.Local { return f }

func (f *fakeEntries) ReplaceEntry(key string, old, e *local.Entry) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entries[key] != old {
		return false
	}
	f.entries[key] = e
	return true
}

func (f *fakeEntries) Del(key string) {
	f.forget(key)
	f.fakeLocal.Del(key)
}

func TestAWorkingStorePasses(t *testing.T) {
	Run(t, func(*testing.T) local.Local { return newFake() })
}

func TestAWorkingStoreOfEntriesPasses(t *testing.T) {
	Run(t, func(*testing.T) local.Local { return newFakeEntries() })
}

// brokenFresh makes a new entry for each read.
type brokenFresh struct{ *fakeEntries }

func (b brokenFresh) GetEntry(key string) (*local.Entry, bool) {
	b.forget(key)
	return b.fakeEntries.GetEntry(key)
}

// brokenStale keeps the old entry when a key is set.
type brokenStale struct{ *fakeEntries }

func (b brokenStale) Set(key string, data []byte) { b.fakeLocal.Set(key, data) }

// brokenReplaces replaces any entry, not only the one that it is told to replace.
type brokenReplaces struct{ *fakeEntries }

func (b brokenReplaces) ReplaceEntry(key string, _, e *local.Entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries[strings.Clone(key)] = e
	return true
}

// brokenRenews gives an entry that replaces another a TTL of its own.
type brokenRenews struct{ *fakeEntries }

func (b brokenRenews) ReplaceEntry(key string, old, e *local.Entry) bool {
	b.SetWithTTL(key, old.Data(), time.Minute)
	return true
}

// brokenBorrows keeps the string of the key of a read.
type brokenBorrows struct {
	*fakeEntries
	read map[string]*local.Entry
}

func (b brokenBorrows) GetEntry(key string) (*local.Entry, bool) {
	if e, ok := b.read[key]; ok {
		return e, true
	}
	e, ok := b.fakeEntries.GetEntry(key)
	if ok {
		b.read[key] = e
	}
	return e, ok
}

type brokenForgets struct{ *fakeLocal }

func (brokenForgets) Set(string, []byte) {}

type brokenInvents struct{ *fakeLocal }

func (b brokenInvents) Get(key string) ([]byte, bool) {
	d, _ := b.fakeLocal.Get(key)
	return d, true
}

type brokenFirstWins struct{ *fakeLocal }

func (b brokenFirstWins) Set(key string, data []byte) {
	if _, ok := b.fakeLocal.Get(key); !ok {
		b.fakeLocal.Set(key, data)
	}
}

type brokenKeeps struct{ *fakeLocal }

func (brokenKeeps) Del(string) {}

type brokenText struct{ *fakeLocal }

func (b brokenText) Set(key string, data []byte) {
	b.fakeLocal.Set(key, []byte(strings.ToValidUTF8(string(data), "?")))
}

type brokenKeys struct{ *fakeLocal }

func (b brokenKeys) Set(key string, data []byte)   { b.fakeLocal.Set(strings.ToLower(key), data) }
func (b brokenKeys) Get(key string) ([]byte, bool) { return b.fakeLocal.Get(strings.ToLower(key)) }

type brokenSmall struct{ *fakeLocal }

func (b brokenSmall) Set(key string, data []byte) {
	if len(b.m) < 500 {
		b.fakeLocal.Set(key, data)
	}
}

// brokenLate deletes a key after Del has returned.
type brokenLate struct{ *fakeLocal }

func (b brokenLate) Del(key string) {
	go func() {
		time.Sleep(time.Nanosecond)
		b.fakeLocal.Del(key)
	}()
}

type brokenEternal struct{ *fakeLocal }

func (b brokenEternal) SetWithTTL(key string, data []byte, _ time.Duration) { b.Set(key, data) }

type brokenSeconds struct{ *fakeLocal }

func (b brokenSeconds) SetWithTTL(key string, data []byte, ttl time.Duration) {
	b.fakeLocal.SetWithTTL(key, data, ttl.Truncate(time.Second))
}

// brokenOverflow rounds a TTL up to milliseconds, which overflows.
type brokenOverflow struct{ *fakeLocal }

func (b brokenOverflow) SetWithTTL(key string, data []byte, ttl time.Duration) {
	b.fakeLocal.SetWithTTL(key, data, (ttl + time.Millisecond - 1).Truncate(time.Millisecond))
}

type brokenSticky struct{ *fakeLocal }

func (b brokenSticky) Set(key string, data []byte) { b.put(key, data, b.m[key].end) }

func TestTheSuiteCatchesBrokenStores(t *testing.T) {
	tests := []struct {
		broken func() local.Local
		check  string
	}{
		{func() local.Local { return brokenForgets{newFake()} }, "a key can be read right after Set"},
		{func() local.Local { return brokenInvents{newFake()} }, "a key that was never set is a miss"},
		{func() local.Local { return brokenFirstWins{newFake()} }, "a later value replaces an earlier one"},
		{func() local.Local { return brokenKeeps{newFake()} }, "a deleted key is a miss"},
		{func() local.Local { return brokenText{newFake()} }, "any bytes come back unchanged"},
		{func() local.Local { return brokenKeys{newFake()} }, "different keys are never mixed up"},
		{func() local.Local { return brokenSmall{newFake()} }, "1,000 small entries have room"},
		{func() local.Local { return brokenFirstWins{newFake()} }, "the last write after concurrent ones stays"},
		{func() local.Local { return brokenLate{newFake()} }, "a deleted key does not come back among concurrent readers"},
		{func() local.Local { return brokenEternal{newFake()} }, "an entry with a TTL of its own ends on time"},
		{func() local.Local { return brokenSeconds{newFake()} }, "an entry with a TTL of its own ends on time"},
		{func() local.Local { return brokenSticky{newFake()} }, "a TTL of its own does not hold for the next value"},
		{func() local.Local { return brokenEternal{newFake()} }, "a TTL of zero or less removes the key"},
		{func() local.Local { return brokenOverflow{newFake()} }, "the longest TTLs keep an entry"},
		{func() local.Local { return brokenFresh{newFakeEntries()} }, "GetEntry returns the same entry until the next write"},
		{func() local.Local { return brokenStale{newFakeEntries()} }, "a kept value is gone after the next write"},
		{func() local.Local { return brokenBorrows{newFakeEntries(), map[string]*local.Entry{}} }, "GetEntry does not keep the string of the key"},
		{func() local.Local { return brokenReplaces{newFakeEntries()} }, "ReplaceEntry replaces only the current entry"},
		{func() local.Local { return brokenRenews{newFakeEntries()} }, "an entry ends when the one that it replaced would have ended"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%T %s", tt.broken(), tt.check), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if suitetest.Verify(checks, tt.check, tt.broken()) == nil {
					t.Error("it passes")
				}
				time.Sleep(time.Millisecond) // let brokenLate end
			})
		})
	}
}
