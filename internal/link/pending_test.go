package link

import (
	"fmt"
	"slices"
	"testing"
)

// Of pending keys, those of one event are in the messages in their order, and each key once.
func TestTheMessagesOfPendingKeys(t *testing.T) {
	p := &pending{keys: make(map[int]map[string]struct{})}
	var keys []string
	for i := range maxKeys + 5 {
		keys = append(keys, fmt.Sprintf("%04d", maxKeys+5-i))
	}
	p.add(7, []string{"b", "a"})
	p.add(5, keys)
	p.add(5, keys)
	p.add(6, []string{"c"})
	if p.n != maxKeys+8 {
		t.Errorf("%d keys are pending, want %d", p.n, maxKeys+8)
	}
	slices.Sort(keys)
	all := p.messages()
	if len(all) != 4 {
		t.Fatalf("there are %d messages, want 4", len(all))
	}
	for i, want := range []change{
		{EventType: 5, Keys: keys[:maxKeys]}, {EventType: 5, Keys: keys[maxKeys:]},
		{EventType: 6, Keys: []string{"c"}}, {EventType: 7, Keys: []string{"a", "b"}},
	} {
		if all[i].EventType != want.EventType || !slices.Equal(all[i].Keys, want.Keys) {
			t.Errorf("message %d is of type %d and names %d keys", i, all[i].EventType, len(all[i].Keys))
		}
	}
}
