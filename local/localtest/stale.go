package localtest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/local"
)

// The checks of local.StaleKeeper. A store without this ability passes them, and so does a store that
// has it only because it embeds another.

// keeper is a store with the ability local.StaleKeeper.
type keeper interface {
	local.Local
	local.StaleKeeper
}

func keeperOf(s local.Local) (keeper, bool) {
	k, ok := s.(keeper)
	if !ok || reflect.TypeOf(k.KeeperOf()) != reflect.TypeOf(s) {
		return nil, false
	}
	return k, true
}

// phase is a part of the life of an entry.
type phase string

const (
	fresh phase = "fresh"
	early phase = "early"
	stale phase = "stale"
	gone  phase = "gone"
)

// expectPhase checks that "k" has the data "v" in a phase of its life.
func expectPhase(s keeper, want phase) error {
	read := expectMiss(s, "k")
	if want == fresh {
		read = expect(s, "k", "v")
	}
	if g, ok := s.(local.EntryGetter); ok {
		if _, ok := g.GetEntry("k"); ok != (want == fresh) {
			read = errors.Join(read, fmt.Errorf("GetEntry finds it: %v", ok))
		}
	}
	got := gone
	l, ok := s.GetWithLife("k")
	switch {
	case ok && l.Left <= 0:
		got = stale
	case ok:
		got = fresh
	}
	switch {
	case got != want && (got != fresh || want != early):
		read = errors.Join(read, fmt.Errorf("GetWithLife says that it is %s: %v left", got, l.Left))
	case ok && string(l.Data) != "v":
		read = errors.Join(read, fmt.Errorf("GetWithLife returns %q", l.Data))
	case ok && l.Entry != nil && string(l.Entry.Data()) != "v":
		read = errors.Join(read, fmt.Errorf("GetWithLife returns an entry with %q", l.Entry.Data()))
	}
	if read != nil {
		return fmt.Errorf("when it should be %s: %w", want, read)
	}
	return nil
}

// expectLife checks that "k" passes from each phase to the next at the right time. It was stored just
// now.
func expectLife(s keeper, life local.Life) error {
	for _, next := range []struct {
		after  time.Duration
		before phase
		then   phase
	}{
		{life.TTL - life.Early, fresh, early},
		{life.Early, early, stale},
		{life.Stale, stale, gone},
	} {
		if next.after == 0 {
			continue
		}
		time.Sleep(next.after - time.Millisecond)
		if err := expectPhase(s, next.before); err != nil {
			return fmt.Errorf("%+v: 1ms before its end, %w", life, err)
		}
		time.Sleep(time.Millisecond)
		if next.then == early && life.Early == 0 {
			next.then = stale
		}
		if next.then == stale && life.Stale == 0 {
			next.then = gone
		}
		if err := expectPhase(s, next.then); err != nil {
			return fmt.Errorf("%+v: at the beginning, %w", life, err)
		}
	}
	return nil
}

func lifePhases(s local.Local) error {
	k, ok := keeperOf(s)
	if !ok {
		return nil
	}
	for _, life := range []local.Life{
		{TTL: 5 * time.Millisecond, Stale: 10 * time.Millisecond},
		{TTL: 1500 * time.Millisecond, Early: 300 * time.Millisecond, Stale: 700 * time.Millisecond},
		{TTL: 20 * time.Second, Early: 10 * time.Second, Stale: time.Minute},
		{TTL: 3 * time.Second, Early: time.Second},
		{TTL: 3 * time.Second},
	} {
		k.SetWithLife("k", []byte("v"), life)
		if err := expectLife(k, life); err != nil {
			return err
		}
	}
	return nil
}

func lifeTimes(s local.Local) error {
	k, ok := keeperOf(s)
	if !ok {
		return nil
	}
	loaded := time.Now().Add(-time.Hour)
	k.SetWithLife("k", []byte("v"), local.Life{TTL: 10 * time.Second, Stale: 10 * time.Second, Loaded: loaded})
	k.SetWithLife("now", []byte("v"), local.Life{TTL: 10 * time.Second, Stale: 10 * time.Second})
	for _, passed := range []time.Duration{0, 4 * time.Second, 10 * time.Second, 19 * time.Second} {
		time.Sleep(passed - (time.Since(loaded) - time.Hour))
		for key, age := range map[string]time.Duration{"k": time.Hour + passed, "now": passed} {
			l, ok := k.GetWithLife(key)
			if !ok {
				return fmt.Errorf("%s after its Set, the entry is gone", passed)
			}
			if (l.Left - (10*time.Second - passed)).Abs() > time.Millisecond {
				return fmt.Errorf("%s after its Set, %s are left of 10s", passed, l.Left)
			}
			if (l.Age - age).Abs() > time.Millisecond {
				return fmt.Errorf("%s after its Set, the value is %s old, want %s", passed, l.Age, age)
			}
		}
	}
	return nil
}

// At most half of the fresh time is early.
func lifeEarlyCapped(s local.Local) error {
	k, ok := keeperOf(s)
	if !ok {
		return nil
	}
	k.SetWithLife("k", []byte("v"), local.Life{TTL: 4 * time.Second, Early: time.Hour, Stale: time.Second})
	return expectLife(k, local.Life{TTL: 4 * time.Second, Early: 2 * time.Second, Stale: time.Second})
}

func lifeReplaced(s local.Local) error {
	k, ok := keeperOf(s)
	if !ok {
		return nil
	}
	life := local.Life{TTL: time.Second, Stale: time.Minute}
	writes := map[string]func(){
		"Del":                        func() { s.Del("k") },
		"SetWithLife without a TTL":  func() { k.SetWithLife("k", []byte("new"), local.Life{TTL: -1, Stale: time.Hour}) },
		"Set":                        func() { s.Set("k", []byte("new")) },
		"SetWithLife":                func() { k.SetWithLife("k", []byte("new"), life) },
		"SetWithLife, the zero Life": func() { k.SetWithLife("k", []byte("new"), local.Life{}) },
	}
	if t, ok := s.(local.TTLSetter); ok {
		writes["SetWithTTL"] = func() { t.SetWithTTL("k", []byte("new"), time.Second) }
		writes["SetWithTTL without a TTL"] = func() { t.SetWithTTL("k", []byte("new"), 0) }
	}
	for name, write := range writes {
		for _, passed := range []time.Duration{0, 2 * time.Second} {
			k.SetWithLife("k", []byte("old"), life)
			time.Sleep(passed)
			write()
			if l, ok := k.GetWithLife("k"); ok && string(l.Data) != "new" {
				return fmt.Errorf("%s after its Set, %s leaves %q", passed, name, l.Data)
			}
			if got, ok := s.Get("k"); ok && string(got) != "new" {
				return fmt.Errorf("%s after its Set, Get returns %q after %s", passed, got, name)
			}
		}
	}
	if t, ok := s.(local.TTLSetter); ok { // the stale time does not hold for the next entry
		k.SetWithLife("k", []byte("old"), life)
		t.SetWithTTL("k", []byte("v"), time.Second)
		return expectLife(k, local.Life{TTL: time.Second})
	}
	return nil
}

// The TTL of the store is a minute or more, or its entries do not expire.
func lifeOfStore(s local.Local) error {
	k, ok := keeperOf(s)
	if !ok {
		return nil
	}
	for _, life := range []local.Life{{Stale: time.Hour}, {TTL: math.MaxInt64, Stale: math.MaxInt64, Early: math.MaxInt64}} {
		k.SetWithLife("k", []byte("v"), life)
		time.Sleep(30*time.Second - time.Millisecond)
		if err := expectPhase(k, fresh); err != nil {
			return fmt.Errorf("%+v: %w", life, err)
		}
	}
	return nil
}

func lifeConcurrent(s local.Local) error {
	k, ok := keeperOf(s)
	if !ok {
		return nil
	}
	var mu sync.Mutex
	var err error
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				switch (i + g) % 4 {
				case 0:
					s.Set("k", []byte("v"))
				case 1:
					s.Del("k")
				default:
					k.SetWithLife("k", []byte("v"), local.Life{TTL: time.Duration(i) * time.Microsecond, Stale: time.Second, Early: time.Second})
				}
				if l, ok := k.GetWithLife("k"); ok && string(l.Data) != "v" {
					mu.Lock()
					err = fmt.Errorf("GetWithLife returns %q", l.Data)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if err != nil {
		return err
	}
	life := local.Life{TTL: time.Second, Stale: time.Second}
	k.SetWithLife("k", []byte("v"), life)
	return expectLife(k, life)
}

func lifeOfReplaced(s local.Local) error {
	k, ok := keeperOf(s)
	r, replaces := s.(replacer)
	if !ok || !replaces {
		return nil
	}
	life := local.Life{TTL: 4 * time.Second, Early: time.Second, Stale: 2 * time.Second}
	for _, passed := range []time.Duration{0, 3500 * time.Millisecond, 5 * time.Second} { // fresh, early, stale
		k.SetWithLife("k", []byte("v"), life)
		time.Sleep(passed)
		l, ok := k.GetWithLife("k")
		if !ok || l.Entry == nil {
			return fmt.Errorf("%s after its Set, GetWithLife has an entry: %v", passed, ok)
		}
		if _, ok := replace(r, l.Entry); !ok {
			return fmt.Errorf("%s after its Set, the entry is not replaced", passed)
		}
		now, ok := k.GetWithLife("k")
		if !ok || now.Left != l.Left || now.Age != l.Age || now.Entry == l.Entry {
			return fmt.Errorf("%s after its Set, ReplaceEntry makes %+v of %+v", passed, now, l)
		}
		if passed > 0 {
			continue
		}
		if err := expectLife(k, life); err != nil {
			return fmt.Errorf("after ReplaceEntry: %w", err)
		}
	}
	return nil
}
