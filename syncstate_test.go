package cache_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	cache "github.com/mgtv-tech/jetcache-go"
)

func TestSyncStateOfACacheWithoutALinkIsZero(t *testing.T) {
	for name, c := range map[string]cache.Cache{
		"both levels": both(t), "remote only": onlyRemote(t), "local only": onlyLocal(t), "a mock": &mockCache{},
	} {
		if s := cache.SyncStateOf(c); s != (cache.SyncState{}) {
			t.Errorf("%s: the state is %+v", name, s)
		}
	}
}

func TestSyncStateOfAWrapperIsThatOfTheInnerCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := fleetOf(t, 2, cache.WithSyncChannel("c"))
		inner := nodes[0].Cache
		want := cache.SyncStateOf(inner)
		if !want.Linked || !want.Ready || want.Channel != "c" || want.Nodes != 1 {
			t.Fatalf("the state is %+v", want)
		}
		for name, c := range map[string]cache.Cache{
			"embedding": &countingCache{Cache: inner}, "Unwrap": hidingCache{Cache: &mockCache{}, inner: inner},
		} {
			if s := cache.SyncStateOf(c); s.Channel != want.Channel || !s.Ready || s.Nodes != want.Nodes {
				t.Errorf("%s: the state is %+v, want %+v", name, s, want)
			}
		}
	})
}

// The error of a SyncState is in its JSON, too.
func TestTheJSONOfASyncStateHasItsError(t *testing.T) {
	data, err := json.Marshal(cache.SyncState{Ready: true, Err: errBoom, Channel: "c"})
	if err != nil || !strings.Contains(string(data), `"Err":"boom"`) || !strings.Contains(string(data), `"Channel":"c"`) || !strings.Contains(string(data), `"Ready":true`) {
		t.Errorf("got %s, %v", data, err)
	}
	if data, err := json.Marshal(cache.SyncState{}); err != nil || strings.Contains(string(data), `"Err"`) {
		t.Errorf("without an error: %s, %v", data, err)
	}
}
