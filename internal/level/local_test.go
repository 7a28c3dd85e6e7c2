package level_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/mgtv-tech/jetcache-go/internal/doubt"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/local"
)

// plainLocal has the three methods of local.Local, and records the calls that change it.
type plainLocal struct {
	mu    sync.Mutex
	m     map[string]string // guarded by mu
	calls []string          // guarded by mu
}

func (p *plainLocal) change(call, key string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call)
	if p.m == nil {
		p.m = make(map[string]string)
	}
	if p.m[key] = string(data); data == nil {
		delete(p.m, key)
	}
}

func (p *plainLocal) Set(key string, data []byte) { p.change("Set "+key, key, data) }
func (p *plainLocal) Del(key string)              { p.change("Del "+key, key, nil) }

func (p *plainLocal) Get(key string) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.m[key]
	return []byte(s), ok
}

// take returns the calls since the last take.
func (p *plainLocal) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := strings.Join(p.calls, ", ")
	p.calls = nil
	return calls
}

// timedLocal is a plainLocal whose entries have TTLs.
type timedLocal struct{ plainLocal }

func (p *timedLocal) SetWithTTL(key string, data []byte, ttl time.Duration) {
	p.change(fmt.Sprint("SetWithTTL ", key, " ", ttl), key, data)
}

// otter returns a store that ends with the test.
func otter(t testing.TB) *local.Otter {
	s := local.NewOtter(1000, time.Hour)
	t.Cleanup(s.Close)
	return s
}

func tinyLFU(t testing.TB) *local.TinyLFU {
	s := local.NewTinyLFU(1000, time.Hour)
	t.Cleanup(s.Close)
	return s
}

// get returns what l has of key, "-" for nothing.
func get(l *level.Local, key string) string {
	if data, ok := l.Get(key); ok {
		return string(data)
	}
	return "-"
}

// doubted returns what l has of a key in doubt, "-" for nothing.
func doubted(l *level.Local, key string) string {
	if data, ok := l.Doubted(key); ok {
		return string(data)
	}
	return "-"
}

func TestWithoutAStoreThereIsNothingLocal(t *testing.T) {
	l := level.NewLocal(nil)
	l.Doubts = new(doubt.Set)
	l.Kept = func(key string) { t.Errorf("%q was stored nowhere", key) }
	l.Set("k", []byte("v"), record.NoBound, nil)
	l.Set("k", []byte("v"), time.Second, nil)
	l.Set("k", []byte("v"), record.Expired, nil)
	l.Del("k")
	l.Doubts.Gap()
	if get(l, "k") != "-" || doubted(l, "k") != "-" || l.Holds("k", nil) {
		t.Error("it has an entry")
	}
	if l.Exists() || l.KeepsValues() || l.Borrows() {
		t.Errorf("it exists: %v, keeps values: %v, borrows: %v", l.Exists(), l.KeepsValues(), l.Borrows())
	}
	if _, known := l.NoneBefore(); known {
		t.Error("it knows how old its entries are")
	}
}

func TestTheBoundChoosesHowAnEntryIsStored(t *testing.T) {
	tests := map[time.Duration]struct{ timed, plain string }{
		record.NoBound: {"Set k", "Set k"},
		time.Minute:    {"SetWithTTL k 1m0s", "Set k"},
		1:              {"SetWithTTL k 1ns", "Set k"},
		record.Expired: {"Del k", "Del k"},
		-time.Hour:     {"Del k", "Del k"},
	}
	for bound, want := range tests {
		timed, plain := &timedLocal{}, &plainLocal{}
		level.NewLocal(timed).Set("k", []byte("v"), bound, nil)
		level.NewLocal(plain).Set("k", []byte("v"), bound, nil)
		if got := timed.take(); got != want.timed {
			t.Errorf("bound %s, a store with TTLs: %s, want %s", bound, got, want.timed)
		}
		if got := plain.take(); got != want.plain {
			t.Errorf("bound %s, a store without TTLs: %s, want %s", bound, got, want.plain)
		}
	}
}

func TestAnEntryLivesForItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := level.NewLocal(tinyLFU(t))
		l.Set("bound", []byte("v"), time.Second, nil)
		l.Set("unbound", []byte("v"), record.NoBound, nil)
		time.Sleep(time.Second - time.Millisecond)
		if get(l, "bound") != "v" {
			t.Error("it ended before its bound")
		}
		time.Sleep(2 * time.Millisecond)
		if get(l, "bound") != "-" || get(l, "unbound") != "v" {
			t.Errorf("after the bound: %q, and without a bound %q", get(l, "bound"), get(l, "unbound"))
		}
	})
}

func TestAnExpiredEntryReplacesWhatWasThere(t *testing.T) {
	l := level.NewLocal(&timedLocal{})
	l.Set("k", []byte("old"), record.NoBound, nil)
	l.Set("k", []byte("new"), record.Expired, nil)
	if got := get(l, "k"); got != "-" {
		t.Errorf("it has %q", got)
	}
}

func TestEntriesInDoubtAreNotRead(t *testing.T) {
	l := level.NewLocal(otter(t))
	l.Doubts = new(doubt.Set)
	for _, key := range []string{"old", "other"} {
		l.Set(key, []byte("v"), record.NoBound, l.Doubts.Now())
	}
	if get(l, "old") != "v" || doubted(l, "old") != "-" {
		t.Fatalf("before any gap: %q, in doubt %q", get(l, "old"), doubted(l, "old"))
	}
	l.Doubts.Gap()
	if _, ok := l.Entry("old"); ok || get(l, "old") != "-" || l.Holds("old", []byte("v")) {
		t.Error("an entry in doubt was read")
	}
	if doubted(l, "old") != "v" || doubted(l, "never stored") != "-" {
		t.Errorf("in doubt: %q and %q", doubted(l, "old"), doubted(l, "never stored"))
	}
	l.Set("old", []byte("new"), record.NoBound, l.Doubts.Now())
	if e, ok := l.Entry("old"); !ok || e.Text() != "new" || get(l, "old") != "new" || doubted(l, "old") != "-" {
		t.Errorf("when it was stored again: %q, in doubt %q", get(l, "old"), doubted(l, "old"))
	}
	if get(l, "other") != "-" || doubted(l, "other") != "v" {
		t.Errorf("the other: %q, in doubt %q", get(l, "other"), doubted(l, "other"))
	}
	l.Del("other")
	if doubted(l, "other") != "-" {
		t.Error("what was removed is still there")
	}
}

// The value was asked for before the gap. What it may replace was stored after the gap.
func TestWhatWasAskedForBeforeAGapIsNotStoredAfterIt(t *testing.T) {
	l := level.NewLocal(otter(t))
	l.Doubts = new(doubt.Set)
	before := l.Doubts.Now()
	l.Doubts.Gap()
	l.Set("k", []byte("new"), record.NoBound, l.Doubts.Now())
	l.Set("k", []byte("old"), record.NoBound, before)
	if get(l, "k") != "-" || doubted(l, "k") != "-" {
		t.Errorf("it has %q, in doubt %q", get(l, "k"), doubted(l, "k"))
	}
}

func TestWhileALinkIsDownEverythingIsInDoubt(t *testing.T) {
	l := level.NewLocal(otter(t))
	l.Doubts = new(doubt.Set)
	l.Doubts.Down()
	l.Set("k", []byte("v"), record.NoBound, l.Doubts.Now())
	if get(l, "k") != "-" || doubted(l, "k") != "v" {
		t.Errorf("it has %q, in doubt %q", get(l, "k"), doubted(l, "k"))
	}
}

func TestKeptIsToldOfWhatIsStored(t *testing.T) {
	l := level.NewLocal(&timedLocal{})
	l.Doubts = new(doubt.Set)
	var kept []string
	l.Kept = func(key string) {
		if get(l, key) != "v" {
			t.Errorf("%q is not stored yet", key)
		}
		kept = append(kept, key)
	}
	before := l.Doubts.Now()
	l.Doubts.Gap()
	now := l.Doubts.Now()
	l.Set("unbound", []byte("v"), record.NoBound, now)
	l.Set("bound", []byte("v"), time.Minute, now)
	l.Set("expired", []byte("v"), record.Expired, now)
	l.Set("late", []byte("v"), time.Minute, before)
	l.Del("unbound")
	if want := []string{"unbound", "bound"}; !slices.Equal(kept, want) {
		t.Errorf("told of %q, want %q", kept, want)
	}
}

func TestHoldsComparesTheBytes(t *testing.T) {
	l := level.NewLocal(otter(t))
	l.Set("k", []byte("v"), record.NoBound, nil)
	l.Set("empty", nil, record.NoBound, nil)
	tests := []struct {
		key  string
		data []byte
		want bool
	}{
		{"k", []byte("v"), true},
		{"k", []byte("w"), false},
		{"k", nil, false},
		{"empty", []byte{}, true},
		{"empty", nil, true},
		{"absent", nil, false},
	}
	for _, test := range tests {
		if got := l.Holds(test.key, test.data); got != test.want {
			t.Errorf("%q has %q: %v", test.key, test.data, got)
		}
	}
}

// prefixing embeds a store, and has other keys in it.
type prefixing struct{ *local.Otter }

func (p prefixing) Get(key string) ([]byte, bool) { return p.Otter.Get("mine:" + key) }
func (p prefixing) Set(key string, data []byte)   { p.Otter.Set("mine:"+key, data) }

func TestWhatAStoreCanDo(t *testing.T) {
	tests := map[string]struct {
		store                  local.Local
		values, borrows, dated bool
	}{
		"Otter":     {otter(t), true, true, true},
		"TinyLFU":   {tinyLFU(t), true, true, true},
		"FreeCache": {local.NewArena(local.MB).NewFreeCache(time.Hour), false, true, true},
		"a plain one, which may keep the keys of reads": {&plainLocal{}, false, false, false},
		"one that embeds Otter":                         {prefixing{otter(t)}, false, false, true},
	}
	for name, test := range tests {
		l := level.NewLocal(test.store)
		if !l.Exists() || l.KeepsValues() != test.values || l.Borrows() != test.borrows {
			t.Errorf("%s: exists %v, keeps values %v, borrows %v", name, l.Exists(), l.KeepsValues(), l.Borrows())
		}
		if _, known := l.NoneBefore(); known != test.dated {
			t.Errorf("%s knows how old its entries are: %v", name, known)
		}
	}
}

func TestAStoreThatEmbedsOneOfOursIsReadByItsOwnGet(t *testing.T) {
	inner := otter(t)
	inner.Set("k", []byte("of somebody else"))
	l := level.NewLocal(prefixing{inner})
	if got := get(l, "k"); got != "-" {
		t.Errorf("it has %q", got)
	}
	l.Set("k", []byte("mine"), record.NoBound, nil)
	if !l.Holds("k", []byte("mine")) {
		t.Errorf("it has %q", get(l, "k"))
	}
}

func TestMemoizeKeepsAValueBesideTheBytes(t *testing.T) {
	for name, test := range map[string]struct {
		store    local.Local
		replaces bool
	}{
		"a store that replaces entries": {otter(t), true},
		"a store that does not":         {tinyLFU(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			l := level.NewLocal(test.store)
			l.Set("k", []byte("v"), record.NoBound, nil)
			e, _ := l.Entry("k")
			renewed, kept := new(local.Entry), &local.Kept{Owner: t, Value: "decoded"}
			key := []byte("k") // the caller's memory
			l.Memoize(unsafe.String(&key[0], 1), e, renewed, kept)
			key[0] = 'x'
			now, ok := l.Entry("k")
			if !ok || now.Kept() != kept || now.Text() != "v" {
				t.Fatalf("the entry of the key is there: %v", ok)
			}
			if want := map[bool]*local.Entry{true: renewed, false: e}[test.replaces]; now != want {
				t.Error("the value is kept in another entry")
			}
			if _, ok := l.Entry("x"); ok {
				t.Error("the caller's memory is a key of the store")
			}
		})
	}
}

func TestMemoizeLeavesANewerEntryAlone(t *testing.T) {
	for name, store := range map[string]local.Local{"Otter": otter(t), "TinyLFU": tinyLFU(t)} {
		l := level.NewLocal(store)
		l.Set("k", []byte("old"), record.NoBound, nil)
		old, _ := l.Entry("k")
		l.Set("k", []byte("new"), record.NoBound, nil)
		l.Memoize("k", old, new(local.Entry), &local.Kept{Value: "old, decoded"})
		if e, ok := l.Entry("k"); !ok || e.Text() != "new" || e.Kept() != nil {
			t.Errorf("%s: %v, %q, keeps %v", name, ok, e.Text(), e.Kept())
		}
	}
}

func TestNoneBeforeIsTheTimeOfTheOldestEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := level.NewLocal(local.NewArena(local.MB).NewFreeCache(time.Hour))
		if none, known := l.NoneBefore(); !known || !none.Equal(time.Now()) {
			t.Errorf("of an empty store: %s, %v", none, known)
		}
		first := time.Now()
		l.Set("k", []byte("v"), time.Minute, nil)
		time.Sleep(time.Minute)
		l.Set("l", []byte("v"), time.Minute, nil)
		if none, known := l.NoneBefore(); !known || none.After(first) {
			t.Errorf("of a store with an entry: %s, %v", none, known)
		}
	})
}

// keeping returns the level over store, which keeps stale entries if the store can.
func keeping(store local.Local) *level.Local {
	l := level.NewLocal(store)
	l.KeepStale()
	return l
}

func TestALevelKeepsStaleEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, store := range map[string]local.Local{
			"Otter": otter(t), "TinyLFU": tinyLFU(t), "FreeCache": local.NewArena(local.MB).NewFreeCache(time.Hour),
		} {
			l := keeping(store)
			if !l.KeepsStale() {
				t.Errorf("%s keeps no stale entries", name)
			}
			check := func(what string, wantGet, wantQuick string, wantLived bool) {
				t.Helper()
				quick := "-"
				if data, ok := l.GetUnlessEarly("k"); ok {
					quick = string(data)
				}
				lived, ok := l.Lived("k")
				if got := get(l, "k"); got != wantGet || quick != wantQuick || ok != wantLived {
					t.Errorf("%s, %s: Get %s, GetUnlessEarly %s, Lived %v", name, what, got, quick, ok)
				}
				if l.Holds("k", []byte("v")) != (wantGet == "v") {
					t.Errorf("%s, %s: Holds is %v", name, what, wantGet != "v")
				}
				if ok && (string(lived.Data) != "v" || lived.Left > 0 != (wantGet == "v")) {
					t.Errorf("%s, %s: %+v", name, what, lived)
				}
			}
			life := local.Life{TTL: 10 * time.Second, Early: 2 * time.Second, Stale: 5 * time.Second}
			l.SetWithLife("k", []byte("v"), life, nil)
			check("fresh", "v", "v", true)
			time.Sleep(9 * time.Second)
			check("early", "v", "-", true)
			time.Sleep(time.Second)
			check("stale", "-", "-", true)
			time.Sleep(5 * time.Second)
			check("gone", "-", "-", false)
			l.SetWithLife("k", []byte("v"), life, nil)
			life.TTL = record.Expired
			l.SetWithLife("k", []byte("v"), life, nil)
			check("after an expired one", "-", "-", false)
			l.Set("k", []byte("v"), time.Second, nil)
			check("by Set", "v", "v", true)
			time.Sleep(time.Second)
			check("by Set, at its end", "-", "-", false)
		}
	})
}

func TestStaleEntriesInDoubtAreNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := keeping(otter(t))
		l.Doubts = new(doubt.Set)
		life := local.Life{TTL: 2 * time.Second, Early: time.Second, Stale: time.Minute}
		before := l.Doubts.Now()
		l.SetWithLife("k", []byte("v"), life, before)
		time.Sleep(1500 * time.Millisecond)
		l.Doubts.Gap()
		if _, ok := l.Lived("k"); ok || get(l, "k") != "-" || doubted(l, "k") != "v" {
			t.Errorf("early: lived %v, get %s, doubted %s", ok, get(l, "k"), doubted(l, "k"))
		}
		time.Sleep(time.Second)
		if _, ok := l.Lived("k"); ok || doubted(l, "k") != "-" {
			t.Errorf("stale: lived %v, doubted %s", ok, doubted(l, "k"))
		}
		if lived, ok := l.DoubtedLived("k"); !ok || string(lived.Data) != "v" || lived.Left != -500*time.Millisecond {
			t.Errorf("stale: DoubtedLived is %+v, %v", lived, ok)
		}
		l.SetWithLife("k", []byte("v"), life, before) // asked for before the gap
		if _, ok := l.Lived("k"); ok {
			t.Error("an entry that was asked for before the gap is stored")
		}
		l.SetWithLife("k", []byte("v"), life, l.Doubts.Now())
		time.Sleep(2 * time.Second)
		if _, ok := l.DoubtedLived("k"); ok {
			t.Error("an entry from after the gap is in doubt")
		}
		if _, ok := l.Lived("k"); !ok {
			t.Error("a stale entry from after the gap is not returned")
		}
	})
}

func TestWithoutTheAbilityOrTheFieldNothingIsStale(t *testing.T) {
	life := local.Life{TTL: time.Minute, Early: time.Second, Stale: time.Hour, Loaded: time.Now()}
	timed, plain := &timedLocal{}, &plainLocal{}
	for store, want := range map[interface {
		local.Local
		take() string
	}]string{timed: "SetWithTTL k 1m0s", plain: "Set k"} {
		l := keeping(store)
		l.SetWithLife("k", []byte("v"), life, nil)
		if got := store.take(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if _, ok := l.Lived("k"); ok || l.KeepsStale() {
			t.Error("it has stale entries")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := level.NewLocal(otter(t)) // KeepStale was not called
		l.SetWithLife("k", []byte("v"), life, nil)
		if _, ok := l.Lived("k"); ok || l.KeepsStale() {
			t.Error("it keeps stale entries although it should not")
		}
		time.Sleep(time.Minute - time.Millisecond)
		if data, ok := l.GetUnlessEarly("k"); !ok || string(data) != "v" {
			t.Error("the early time counts although it should not")
		}
	})
	none := keeping(nil)
	none.SetWithLife("k", []byte("v"), life, nil)
	_, lived := none.Lived("k")
	if _, ok := none.GetUnlessEarly("k"); ok || lived || none.KeepsStale() {
		t.Error("there is a stale entry without a store")
	}
}

func TestAStoreThatEmbedsOneOfOursHasNoStaleEntries(t *testing.T) {
	l := keeping(prefixing{otter(t)})
	l.SetWithLife("k", []byte("mine"), local.Life{TTL: time.Minute, Stale: time.Hour}, nil)
	if _, ok := l.Lived("k"); ok || l.KeepsStale() {
		t.Error("the ability of the embedded store is used")
	}
}
