package remote_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// lossy loses replies to changes after the server has carried them out, and counts what arrives.
type lossy struct {
	arrived atomic.Int64 // attempts of changes: writes to a connection
	lose    atomic.Bool
}

func (l *lossy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &lossyConn{Conn: c, of: l}, err
}

type lossyConn struct {
	net.Conn
	of  *lossy
	due atomic.Bool // the next reply is that to a change
}

func (c *lossyConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	for _, change := range []string{"set", "del", "eval", "evalsha"} {
		if strings.Contains(string(b), "\r\n"+change+"\r\n") {
			c.of.arrived.Add(1)
			c.due.Store(true)
			break
		}
	}
	return n, err
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.of.lose.Load() && c.due.Swap(false) {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

// clientsOf returns a client of each kind whose connections to m lose what l says.
func clientsOf(t *testing.T, m *miniredis.Miniredis, l *lossy) map[string]redis.Cmdable {
	t.Helper()
	single := redis.NewClient(&redis.Options{Addr: m.Addr(), Dialer: l.dial, MinRetryBackoff: -1})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}, Dialer: l.dial, MinRetryBackoff: -1})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": m.Addr()}, Dialer: l.dial, MinRetryBackoff: -1})
	t.Cleanup(func() {
		_ = single.Close()
		_ = cluster.Close()
		_ = ring.Close()
	})
	return map[string]redis.Cmdable{"Client": single, "ClusterClient": cluster, "Ring": ring}
}

// changes are the changes of the adapter, and whether they set "k", or "k" and "l", to "v".
var changes = map[string]struct {
	do     func(r *remote.GoRedisV9Adapter) error
	stores bool
	batch  bool
}{
	"SetEX": {func(r *remote.GoRedisV9Adapter) error { return r.SetEX(ctx, "k", "v", time.Minute) }, true, false},
	"SetXX": {func(r *remote.GoRedisV9Adapter) error { _, err := r.SetXX(ctx, "k", "v", time.Minute); return err }, true, false},
	"SetNX": {func(r *remote.GoRedisV9Adapter) error { _, err := r.SetNX(ctx, "new", "v", 0); return err }, false, false},
	"Del":   {func(r *remote.GoRedisV9Adapter) error { _, err := r.Del(ctx, "k"); return err }, false, false},
	"MSet":  {func(r *remote.GoRedisV9Adapter) error { return r.MSet(ctx, map[string]any{"k": "v", "l": "v"}, 0) }, true, true},
	"MDel":  {func(r *remote.GoRedisV9Adapter) error { return r.MDel(ctx, "k", "l") }, false, true},
	"MSetItems": {func(r *remote.GoRedisV9Adapter) error {
		return r.MSetItems(ctx, remote.Item{Key: "k", Data: []byte("v"), Expire: time.Minute}, remote.Item{Key: "l", Data: []byte("v")})
	}, true, true},
	"CompareAndDelete": {func(r *remote.GoRedisV9Adapter) error { _, err := r.CompareAndDelete(ctx, "k", "old"); return err }, false, false},
}

// A reply is lost after the server has made the change.
func TestWithoutWriteRetriesAChangeIsSentOnce(t *testing.T) {
	for name, change := range changes {
		for _, kind := range []string{"Client", "ClusterClient", "Ring"} {
			for _, once := range []bool{false, true} {
				var opts []remote.GoRedisOption
				if once {
					opts = append(opts, remote.WithoutWriteRetries())
				}
				m, l := miniredis.RunT(t), &lossy{}
				r := remote.NewGoRedis(clientsOf(t, m, l)[kind], opts...).(*remote.GoRedisV9Adapter)
				for _, key := range []string{"k", "l"} {
					_ = m.Set(key, "old")
				}
				if _, err := r.CompareAndDelete(ctx, "none", "v"); err != nil { // the server has the script
					t.Fatal(err)
				}
				l.arrived.Store(0)
				l.lose.Store(true)
				err := change.do(r)
				l.lose.Store(false)
				n := l.arrived.Load()
				switch {
				case err == nil:
					t.Errorf("%s by a %s, once=%t: no error", name, kind, once)
				case once && n != 1:
					t.Errorf("%s by a %s is sent %d times", name, kind, n)
				case !once && n < 2 && !(kind == "Ring" && change.batch): // a Ring does not repeat pipelines
					t.Errorf("%s by a %s is sent %d times without the option", name, kind, n)
				}
				k, _ := m.Get("k")
				other, _ := m.Get("l")
				if change.stores && k != "v" && other != "v" { // of a batch, the first change has been made
					t.Errorf("%s by a %s: the server has not made the change: %q, %q", name, kind, k, other)
				}
				if err := change.do(r); err != nil {
					t.Errorf("%s by a %s, once=%t, when replies arrive: %v", name, kind, once, err)
				}
			}
		}
	}
}

// Reads are repeated as ever.
func TestWithoutWriteRetriesReadsAreRepeated(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), MinRetryBackoff: -1})
	defer func() { _ = client.Close() }()
	var tries atomic.Int64
	client.AddHook(failingDials{&tries})
	r := remote.NewGoRedis(client, remote.WithoutWriteRetries())
	if _, err := r.Get(ctx, "k"); err == nil || tries.Load() < 2 {
		t.Errorf("a read is tried %d times: %v", tries.Load(), err)
	}
	tries.Store(0)
	if err := r.SetEX(ctx, "k", "v", 0); err == nil {
		t.Error("a change without a connection succeeds")
	}
}

// failingDials counts dials, and lets them fail.
type failingDials struct{ tries *atomic.Int64 }

func (f failingDials) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) {
		f.tries.Add(1)
		return nil, &net.OpError{Op: "dial", Err: io.EOF}
	}
}
func (failingDials) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (failingDials) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// What the option changes must pass the suite, too.
func TestWithoutWriteRetries(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		remotetest.Run(t, func(*testing.T) remotetest.Target {
			s.Client.FlushDB(ctx)
			return remotetest.Target{Remote: remote.NewGoRedis(s.Client, remote.WithoutWriteRetries()), Advance: s.Advance}
		})
	})
	t.Run("cluster", func(t *testing.T) {
		remotetest.Run(t, func(t *testing.T) remotetest.Target {
			m := miniredis.RunT(t)
			return remotetest.Target{Remote: remote.NewGoRedis(clientsOf(t, m, &lossy{})["ClusterClient"], remote.WithoutWriteRetries()), Advance: m.FastForward}
		})
	})
}
