package localtest

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/mgtv-tech/jetcache-go/local"
)

// The checks of local.EntryGetter and local.EntryReplacer. A store without these abilities passes
// them.

func entrySame(s local.Local) error {
	g, ok := s.(local.EntryGetter)
	if !ok {
		return nil
	}
	if _, ok := g.GetEntry("k"); ok {
		return errors.New("a key that was never set has an entry")
	}
	s.Set("k", []byte("v"))
	e, ok := g.GetEntry("k")
	if !ok || string(e.Data()) != "v" {
		return errors.New("a key that was set has no entry with its bytes")
	}
	k := &local.Kept{Owner: s, Value: "decoded"}
	e.Keep(k)
	if again, ok := g.GetEntry("k"); !ok || again.Kept() != k {
		return errors.New("the value that was kept in the entry is gone at the next read")
	}
	return expect(s, "k", "v")
}

func entryReplaced(s local.Local) error {
	g, ok := s.(local.EntryGetter)
	if !ok {
		return nil
	}
	writes := map[string]func(){
		"Set": func() { s.Set("k", []byte("new")) },
		"Del": func() { s.Del("k") },
	}
	if t, ok := s.(local.TTLSetter); ok {
		writes["SetWithTTL"] = func() { t.SetWithTTL("k", []byte("new"), time.Minute) }
	}
	for name, write := range writes {
		s.Set("k", []byte("old"))
		if e, ok := g.GetEntry("k"); ok {
			e.Keep(&local.Kept{Owner: s, Value: "decoded from old"})
		}
		write()
		e, ok := g.GetEntry("k")
		switch {
		case name == "Del" && ok:
			return errors.New("after Del, the key has an entry")
		case name != "Del" && !ok:
			return fmt.Errorf("after %s, the key has no entry", name)
		case ok && (e.Kept() != nil || string(e.Data()) != "new"):
			return fmt.Errorf("after %s, the entry has %q and %v, want the new bytes and no value", name, e.Data(), e.Kept())
		}
	}
	return nil
}

func entryKey(s local.Local) error {
	g, ok := s.(local.EntryGetter)
	if !ok {
		return nil
	}
	for i := range 100 {
		s.Set(fmt.Sprint("key ", i), fmt.Append(nil, i))
	}
	buf := make([]byte, 0, 16)
	for range 20 {
		for i := range 110 { // the last ten are misses
			buf = fmt.Append(buf[:0], "key ", i)
			e, ok := g.GetEntry(unsafe.String(&buf[0], len(buf)))
			if ok != (i < 100) || ok && string(e.Data()) != fmt.Sprint(i) {
				return fmt.Errorf("%q is %v, %v", buf, e, ok)
			}
		}
	}
	for i := range 110 {
		want := fmt.Sprint(i)
		if i >= 100 {
			if err := expectMiss(s, fmt.Sprint("key ", i)); err != nil {
				return err
			}
		} else if err := expect(s, fmt.Sprint("key ", i), want); err != nil {
			return err
		}
	}
	return nil
}

// replacer is a store whose entries can be replaced.
type replacer interface {
	local.EntryGetter
	local.EntryReplacer
}

// replace replaces old, the entry of "k", by one that keeps "decoded".
func replace(r replacer, old *local.Entry) (*local.Entry, bool) {
	e := &local.Entry{}
	e.Become(old, &local.Kept{Value: "decoded"})
	return e, r.ReplaceEntry("k", old, e)
}

func entryReplace(s local.Local) error {
	r, ok := s.(replacer)
	if !ok {
		return nil
	}
	s.Set("k", []byte("v"))
	old, _ := r.GetEntry("k")
	e, ok := replace(r, old)
	if !ok {
		return errors.New("the entry is not replaced")
	}
	if there, ok := r.GetEntry("k"); !ok || there != e || there.Kept() == nil {
		return errors.New("after ReplaceEntry, the key has another entry than the new one")
	}
	if err := expect(s, "k", "v"); err != nil {
		return err
	}
	if _, ok := replace(r, old); ok {
		return errors.New("ReplaceEntry replaces an entry that is not the current one")
	}
	s.Set("k", []byte("new"))
	if _, ok := replace(r, e); ok {
		return errors.New("ReplaceEntry replaces the entry of a later Set")
	}
	if err := expect(s, "k", "new"); err != nil {
		return err
	}
	s.Del("k")
	if _, ok := replace(r, e); ok {
		return errors.New("ReplaceEntry brings back a key that was deleted")
	}
	return expectMiss(s, "k")
}

func entryReplaceTTL(s local.Local) error {
	r, ok := s.(replacer)
	t, timed := s.(local.TTLSetter)
	if !ok || !timed {
		return nil
	}
	t.SetWithTTL("k", []byte("v"), 5*time.Second)
	time.Sleep(3 * time.Second)
	old, _ := r.GetEntry("k")
	if _, ok := replace(r, old); !ok {
		return errors.New("the entry is not replaced")
	}
	time.Sleep(2*time.Second - time.Millisecond)
	if err := expect(s, "k", "v"); err != nil {
		return fmt.Errorf("1ms before its end: %w", err)
	}
	time.Sleep(time.Millisecond)
	if err := expectMiss(s, "k"); err != nil {
		return fmt.Errorf("at its end: %w", err)
	}
	t.SetWithTTL("k", []byte("v"), time.Second)
	old, _ = r.GetEntry("k")
	_, _ = replace(r, old)
	s.Set("k", []byte("long")) // the TTL of the entry before it does not hold for it
	time.Sleep(2 * time.Second)
	return expect(s, "k", "long")
}
