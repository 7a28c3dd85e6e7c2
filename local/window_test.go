package local

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func keysOf(w *window) (keys []string) {
	for _, s := range w.queue {
		if s != nil {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// endless returns an entry that does not expire.
func endless(data string) *Entry { return newEntry([]byte(data), times{until: forever}) }

func TestWindowSize(t *testing.T) {
	for _, tt := range []struct{ size, want int }{
		{1, 1}, {2, 1}, {4, 1}, {5, 2}, {10, 4}, {1000, 400}, {1999, 799},
		{math.MaxInt32, 858_993_458}, {math.MaxInt, math.MaxInt/5*2 + 2*(math.MaxInt%5)/5},
	} {
		if got := windowSize(tt.size); got != tt.want {
			t.Errorf("the window of a store for %d entries has %d, want %d", tt.size, got, tt.want)
		}
	}
}

func TestWindowLetsGoOfWhatWasNotRead(t *testing.T) {
	w := newWindow(3, newClock())
	put := func(key string) (left string) {
		w.put(key, endless(key))
		for s := w.excess(); s != nil; s = w.excess() {
			left += s.key
			w.remove(s.key)
		}
		return left
	}
	for _, key := range []string{"a", "b", "c"} {
		if left := put(key); left != "" {
			t.Errorf("%s left while there was room", left)
		}
	}
	w.get("a")
	if left := put("d"); left != "b" {
		t.Errorf("%q left, want b: a was read", left)
	}
	if left := put("e"); left != "c" {
		t.Errorf("%q left, want c", left)
	}
	if left := put("f"); left != "d" { // it is before a, which was put back for having been read
		t.Errorf("%q left, want d", left)
	}
	if left := put("g"); left != "a" {
		t.Errorf("%q left, want a: it was not read again", left)
	}
	if got := fmt.Sprint(keysOf(w)); got != "[e f g]" {
		t.Errorf("the window has %s", got)
	}
}

func TestWindowEntriesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(3, newClock())
		w.put("k", newEntry(nil, times{until: after(w.clock.now(), time.Second)}))
		w.put("forever", endless(""))
		time.Sleep(time.Second - time.Nanosecond)
		if e, _ := w.get("k"); e == nil {
			t.Error("the entry is gone before its end")
		}
		time.Sleep(time.Nanosecond)
		if e, _ := w.get("k"); e != nil {
			t.Error("the entry is there at its end")
		}
		if e, _ := w.get("forever"); e == nil {
			t.Error("an entry without end is gone")
		}
	})
}

// The queue has each key once, and its length stays in proportion to the number of keys.
func TestWindowQueueStaysShort(t *testing.T) {
	const size = 100
	w := newWindow(size, newClock())
	there := map[string]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	w.put("first", endless(""))
	there["first"] = true
	for range 20_000 {
		key := strconv.Itoa(r.IntN(50))
		switch r.IntN(3) {
		case 0:
			if w.remove(key) != there[key] {
				t.Fatalf("remove of %s does not say what was there", key)
			}
			delete(there, key)
		case 1:
			w.get(key)
		default:
			w.put(key, endless(""))
			there[key] = true
		}
		if len(w.queue) > 2*len(there)+64 || w.count != len(there) {
			t.Fatalf("the queue has %d places and %d entries for %d keys", len(w.queue), w.count, len(there))
		}
	}
	keys := keysOf(w)
	if len(keys) != len(there) {
		t.Fatalf("the queue has %v, want %v", keys, there)
	}
	for _, key := range keys {
		if !there[key] {
			t.Errorf("the queue has %q", key)
		}
	}
}
