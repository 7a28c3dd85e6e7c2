package cache_test

import (
	"strings"
	"testing"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

func TestNewRefusesSyncOptionsThatCannotWork(t *testing.T) {
	m, l := remotetest.NewMemory(), stores["Otter"](t)
	for want, opts := range map[string][]cache.Option{
		"WithSyncBus was given nil":               {cache.WithSyncBus(nil)},
		"WithSyncChannel needs a remote that":     {cache.WithSyncLocal(true), cache.WithSyncChannel("c"), cache.WithRemote(m), cache.WithLocal(l)},
		"WithTracking needs a remote that":        {cache.WithTracking(), cache.WithRemote(m), cache.WithLocal(l)},
		"WithFence needs a remote, because":       {cache.WithFence(time.Second), cache.WithLocal(l)},
		"WithLease needs a remote, because":       {cache.WithLease(time.Second), cache.WithLocal(l)},
		"WithTracking needs a remote, because":    {cache.WithTracking(), cache.WithLocal(l)},
		"WithLocal was given a nil *local.Otter":  {cache.WithLocal((*local.Otter)(nil))},
		"WithRemote was given a nil *remote.":     {cache.WithRemote((*remote.GoRedisV9Adapter)(nil))},
		`"a" and "ab", but the one covers`:        {cache.WithTracking("ab", "a")},
		"WithFence was given 0s; give the time":   {cache.WithFence(0)},
		"WithFence was given -1s; give the time ": {cache.WithFence(-time.Second)},
	} {
		if got := panicText(func() { cache.New(opts...) }); !strings.Contains(got, want) {
			t.Errorf("New panics with %q, want %q", got, want)
		}
	}
	// A cache without a remote has no link, and a cache without a local level has no tracking.
	for _, opts := range [][]cache.Option{{cache.WithRemote(m), cache.WithTracking("a")}, {cache.WithLocal(l)}, {}} {
		c := cache.New(append(opts, cache.WithSyncLocal(true), cache.WithSyncBus(remotetest.NewBus()), cache.WithStatsDisabled(true))...)
		if s := cache.SyncStateOf(c); s.Linked != (c.CacheType() == cache.TypeRemote) || s.Tracking {
			t.Errorf("%s: the state is %+v", c.CacheType(), s)
		}
		c.Close()
	}
}
