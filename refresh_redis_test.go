package cache_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// fleetInterval is the shortest there is.
const fleetInterval = time.Second

// openOnRedis makes a node of a fleet, with a client of its own.
func openOnRedis(t testing.TB, addr string, db int) cache.Cache {
	client := redis.NewClient(&redis.Options{Addr: addr, DB: db})
	store := local.NewTinyLFU(100, time.Hour)
	c := cache.New(
		cache.WithLocal(store), cache.WithRemote(remote.NewGoRedisV9Adapter(client)), cache.WithStatsDisabled(true),
		cache.WithRefreshDuration(fleetInterval), cache.WithStopRefreshAfterLastAccess(time.Hour),
	)
	t.Cleanup(func() {
		c.Close()
		store.Close()
		_ = client.Close()
	})
	return c
}

// Four nodes on one real Redis load once per interval, for ten intervals, with one load of tolerance. A node
// serves a version that is at most two loads old.
func TestAFleetOnRedisLoadsOncePerInterval(t *testing.T) {
	s := redistest.Real(t)
	o := s.Client.Options()
	var loads atomic.Int64
	load := cache.Do(func(context.Context) (any, error) {
		time.Sleep(20 * time.Millisecond)
		return fmt.Sprint(loads.Add(1)), nil
	})
	var nodes []cache.Cache
	for range 4 {
		c := openOnRedis(t, o.Addr, o.DB)
		nodes = append(nodes, c)
	}
	var wg sync.WaitGroup
	for _, c := range nodes { // at the same time, so that their refreshes race for the lock
		wg.Go(func() {
			if _, err := onceString(c, "hot", load, cache.Refresh(true)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first := loads.Load() // up to one per node: only callers of one node share a load
	const intervals = 10
	var worst int64
	for start := time.Now(); time.Since(start) < intervals*fleetInterval; time.Sleep(10 * time.Millisecond) {
		newest := loads.Load()
		for i, c := range nodes {
			v, err := onceString(c, "hot", load, cache.Refresh(true))
			var n int64
			if _, scanErr := fmt.Sscan(v, &n); err != nil || scanErr != nil {
				t.Fatalf("node %d: %q, %v", i, v, err)
			}
			if time.Since(start) > 2*fleetInterval { // at first, each has what it loaded itself
				worst = max(worst, newest-n)
			}
		}
	}
	if n := loads.Load() - first; n < intervals-1 || n > intervals+1 {
		t.Errorf("%d loads in %d intervals of 4 nodes", n, intervals)
	}
	// A node copies the value within an interval of the load. It waits up to a tenth of an interval for its
	// turn and a fifth for the winner. So it may be one version behind, and for a moment two.
	if worst > 2 {
		t.Errorf("a node was %d versions behind", worst)
	}
}

// holderEnv makes the test binary a node that takes the refresh lock and dies loading.
const holderEnv = "JETCACHE_TEST_LOCK_HOLDER"

func TestProcessThatHoldsTheRefreshLock(t *testing.T) {
	addr := os.Getenv(holderEnv)
	if addr == "" {
		t.Skip("skipped: TestAnotherNodeTakesOverFromOneThatDied starts this process and kills it")
	}
	var db int
	if _, err := fmt.Sscanf(addr[strings.LastIndex(addr, "/"):], "/%d", &db); err != nil {
		t.Fatal(err)
	}
	c := openOnRedis(t, addr[:strings.LastIndex(addr, "/")], db)
	calls := 0
	_, _ = onceString(c, "hot", cache.Do(func(ctx context.Context) (any, error) {
		if calls++; calls > 1 {
			fmt.Println("LOADING")
			<-ctx.Done()
		}
		return "holder's", ctx.Err()
	}), cache.Refresh(true))
	time.Sleep(time.Minute)
}

// A node holds the lock and is killed during its load. Another node takes over when the lock has expired.
func TestAnotherNodeTakesOverFromOneThatDied(t *testing.T) {
	s := redistest.Real(t)
	o := s.Client.Options()
	holder := exec.Command(os.Args[0], "-test.run=^TestProcessThatHoldsTheRefreshLock$")
	holder.Env = append(os.Environ(), fmt.Sprintf("%s=%s/%d", holderEnv, o.Addr, o.DB))
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill := func() {
		if !killed {
			killed = true
			_ = holder.Process.Kill() // SIGKILL
			_ = holder.Wait()
		}
	}
	defer kill()
	loading := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "LOADING" {
				close(loading)
				return
			}
		}
	}()
	select {
	case <-loading:
	case <-time.After(30 * time.Second):
		t.Fatal("the holder did not get to its load")
	}
	// Two nodes are there already, and have what the holder loaded first.
	var takeovers atomic.Int32
	took := make(chan time.Time, 1)
	load := cache.Do(func(context.Context) (any, error) {
		takeovers.Add(1)
		select {
		case took <- time.Now():
		default:
		}
		return "survivor's", nil
	})
	survivors := []cache.Cache{openOnRedis(t, o.Addr, o.DB), openOnRedis(t, o.Addr, o.DB)}
	for i, c := range survivors {
		if v, err := onceString(c, "hot", load, cache.Refresh(true)); v != "holder's" || err != nil {
			t.Fatalf("survivor %d read %q, %v", i, v, err)
		}
	}
	kill()
	left, err := s.Client.PTTL(ctx, "hot_#RL#").Result()
	died := time.Now()
	if err != nil || left <= 0 {
		t.Fatalf("the dead node's lock is not there: %s, %v", left, err)
	}
	select {
	case at := <-took:
		d := at.Sub(died)
		t.Logf("the lock had %s left at the holder's death; another node loaded after %s", left, d.Round(time.Millisecond))
		// In the second interval after the lock has run out, at the latest.
		if d < left-50*time.Millisecond || d > left+2*fleetInterval {
			t.Errorf("it took over %s after the death, with %s left of the lock", d, left)
		}
	case <-time.After(10 * fleetInterval):
		t.Fatal("nobody took over")
	}
	c := survivors[0]
	for range 100 {
		if v, _ := onceString(c, "hot"); v == "survivor's" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the survivor's value did not reach its local level")
}
