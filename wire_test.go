package cache_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// goldenFile returns the contents of a wire file.
func goldenFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}

// The wire formats that a mixed fleet shares. Those of the codecs are in their packages.
func TestGoldenWireFiles(t *testing.T) {
	b, err := json.Marshal(cache.Event{CacheName: "shop", SourceID: "0123456789abcdef", EventType: cache.EventTypeSetByMGet, Keys: []string{"u:1", "u:2"}})
	if want := goldenFile(t, "event.json"); err != nil || string(b) != want {
		t.Errorf("an event is %s, %v, want %s", b, err, want)
	}
	var e cache.Event
	if err := json.Unmarshal([]byte(goldenFile(t, "event.json")), &e); err != nil || e.EventType != 4 || len(e.Keys) != 2 {
		t.Errorf("the golden event reads as %+v, %v", e, err)
	}

	n := both(t)
	_, _ = onceString(n, "absent", returns(nil, cache.ErrNotFound))
	if want := goldenFile(t, "placeholder.txt"); n.inRemote("absent") != want {
		t.Errorf("the placeholder is %q, want %q", n.inRemote("absent"), want)
	}

	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		var keys []string
		m.SetFault(func(_ context.Context, op string, k ...string) error {
			if op == "setnx" {
				keys = append(keys, k...)
			}
			return nil
		})
		n := bothOn(t, m, cache.WithRefreshDuration(10*time.Second))
		_, _ = onceString(n, "user:7", returns("v", nil), cache.Refresh(true))
		pass(11 * time.Second)
		if want := goldenFile(t, "lockkey.txt"); len(keys) != 1 || keys[0] != want {
			t.Errorf("the lock keys are %q, want %q", keys, want)
		}
	})
}
