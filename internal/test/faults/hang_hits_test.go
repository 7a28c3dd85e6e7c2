package faults

import (
	"fmt"
	"sync"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// While Redis hangs, hits in the local level are served at once, although they are in doubt.
func TestHitsWhileRedisHangs(t *testing.T) {
	t.Parallel()
	const keys = 20
	server := redistest.NewProcess(t)
	c := newCache(t, newClient(t, impatient(server)))
	for i := range keys {
		once(t, c, fmt.Sprint("k", i), "v")
	}
	server.Pause()
	defer server.Resume()
	eventually(t, func() error {
		if s := cache.SyncStateOf(c); s.Ready || !s.InDoubt {
			return fmt.Errorf("the link is not known to be dead: %+v", s)
		}
		return nil
	})
	hit := func(i int) time.Duration {
		began := time.Now()
		if got := once(t, c, fmt.Sprint("k", i), "another"); got != "v" {
			t.Errorf("reads %q", got)
		}
		return time.Since(began)
	}
	fastest := min(hit(0), hit(0), hit(0))
	if fastest > usual.hit {
		t.Errorf("each hit of one caller waits for %s, and may wait for %s", fastest.Round(time.Millisecond), usual.hit)
	}
	var wg sync.WaitGroup
	began := time.Now()
	for i := range keys {
		wg.Go(func() { hit(i) })
	}
	wg.Wait()
	if took := time.Since(began); took > usual.hit {
		t.Errorf("the hits of %d callers wait for %s, and may wait for %s", keys, took.Round(time.Millisecond), usual.hit)
	}
}
