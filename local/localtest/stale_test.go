package localtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/local"
)

// fakeKeeper is a store that works and keeps stale entries. What is wrong with a broken one is in flaws.
type fakeKeeper struct {
	*fakeEntries
	lives map[string]fakeLife // guarded by mu
	flaw  flaw
}

type fakeLife struct {
	data                       []byte
	entry                      *local.Entry
	loaded, until, fresh, gone time.Time // fresh is zero if it does not expire
}

type flaw int

const (
	noFlaw       flaw = iota
	getsEarly         // Get returns early entries
	forgetsStale      // the stale time is ignored
	roundsStale       // the stale time is rounded to seconds
	ageOfStore        // the age is that of the entry, not of the value
	capsNothing       // all of the fresh time may be early
	keepsOnDel        // Del leaves the stale entry
	keepsOnSet        // SetWithTTL leaves the stale entry
	staleForever      // an entry without a TTL is stale at once
	racy              // what is read belongs to another write
	rearms            // ReplaceEntry makes an entry fresh again
)

func newFakeKeeper(f flaw) *fakeKeeper {
	return &fakeKeeper{newFakeEntries(), map[string]fakeLife{}, f}
}

func (f *fakeKeeper) KeeperOf() local.Local { return f }

func (f *fakeKeeper) EntriesOf() local.Local { return f }

func (f *fakeKeeper) drop(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.lives, key)
}

func (f *fakeKeeper) Set(key string, data []byte) { f.SetWithLife(key, data, local.Life{}) }

func (f *fakeKeeper) SetWithTTL(key string, data []byte, ttl time.Duration) {
	if f.flaw == keepsOnSet {
		f.mu.Lock()
		gone := f.lives[key].gone
		f.mu.Unlock()
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if l := f.lives[key]; !gone.IsZero() {
				l.gone = gone
				f.lives[key] = l
			}
		}()
	}
	if ttl <= 0 {
		ttl = -1
	}
	f.SetWithLife(key, data, local.Life{TTL: ttl})
}

func (f *fakeKeeper) Del(key string) {
	if f.flaw == keepsOnDel {
		f.mu.Lock()
		defer f.mu.Unlock()
		l := f.lives[key]
		l.until, l.fresh = time.Now(), time.Now()
		f.lives[key] = l
		return
	}
	f.drop(key)
}

func (f *fakeKeeper) SetWithLife(key string, data []byte, life local.Life) {
	if life.TTL < 0 {
		f.drop(key)
		return
	}
	l := fakeLife{data: data, entry: local.NewEntry(data), loaded: life.Loaded}
	if life.Loaded.IsZero() || f.flaw == ageOfStore {
		l.loaded = time.Now()
	}
	if f.flaw == racy && life.Early > 0 && life.TTL < time.Millisecond {
		l.data = append(data, '?')
	}
	if f.flaw == staleForever && life.TTL == 0 && life.Stale > 0 {
		life.TTL = 1
	}
	if life.TTL > 0 && life.TTL < 10*365*24*time.Hour {
		early := min(life.Early, life.TTL/2)
		if f.flaw == capsNothing {
			early = min(life.Early, life.TTL)
		}
		l.fresh = time.Now().Add(life.TTL)
		l.until, l.gone = l.fresh.Add(-early), l.fresh.Add(life.Stale)
		switch f.flaw {
		case getsEarly:
			l.until = l.fresh
		case forgetsStale:
			l.gone = l.fresh
		case roundsStale:
			l.gone = l.fresh.Add(life.Stale.Truncate(time.Second))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lives[key] = l
}

func (f *fakeKeeper) life(key string) (fakeLife, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.lives[key]
	return l, ok && (l.fresh.IsZero() || time.Now().Before(l.gone))
}

func (f *fakeKeeper) GetWithLife(key string) (local.Lived, bool) {
	l, ok := f.life(key)
	if !ok {
		return local.Lived{}, false
	}
	left := time.Hour
	if !l.fresh.IsZero() {
		left = time.Until(l.fresh)
	}
	return local.Lived{Data: l.data, Entry: l.entry, Left: left, Age: time.Since(l.loaded)}, true
}

func (f *fakeKeeper) GetEntry(key string) (*local.Entry, bool) {
	l, ok := f.life(key)
	if !ok || !l.fresh.IsZero() && !time.Now().Before(l.until) {
		return nil, false
	}
	return l.entry, true
}

func (f *fakeKeeper) Get(key string) ([]byte, bool) {
	e, ok := f.GetEntry(key)
	if !ok {
		return nil, false
	}
	return e.Data(), true
}

func (f *fakeKeeper) ReplaceEntry(key string, old, e *local.Entry) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.lives[key]
	if !ok || l.entry != old {
		return false
	}
	l.entry = e
	if f.flaw == rearms {
		l.fresh, l.loaded = l.fresh.Add(time.Second), time.Now()
	}
	f.lives[key] = l
	return true
}

// plainOverKeeper has the ability only by what it embeds.
type plainOverKeeper struct{ *fakeKeeper }

func TestAWorkingStoreOfStaleEntriesPasses(t *testing.T) {
	Run(t, func(*testing.T) local.Local { return newFakeKeeper(noFlaw) })
}

func TestAnEmbeddedKeeperIsNotChecked(t *testing.T) {
	Run(t, func(*testing.T) local.Local { return plainOverKeeper{newFakeKeeper(roundsStale)} })
}

func TestTheSuiteCatchesBrokenStaleEntries(t *testing.T) {
	for flaw, check := range map[flaw]string{
		getsEarly:    "an entry is fresh, early, stale and gone at exact times",
		forgetsStale: "an entry is fresh, early, stale and gone at exact times",
		roundsStale:  "an entry is fresh, early, stale and gone at exact times",
		ageOfStore:   "GetWithLife tells what is left and the age",
		capsNothing:  "at most half of the fresh time is early",
		keepsOnDel:   "writes replace stale entries",
		keepsOnSet:   "writes replace stale entries",
		staleForever: "without a TTL of its own, an entry is fresh for the store's TTL",
		racy:         "entries with a life survive concurrent use",
		rearms:       "an entry has the life of the one that it replaced",
	} {
		synctest.Test(t, func(t *testing.T) {
			if suitetest.Verify[local.Local](checks, check, newFakeKeeper(flaw)) == nil {
				t.Errorf("flaw %d passes %q", flaw, check)
			}
		})
	}
}
