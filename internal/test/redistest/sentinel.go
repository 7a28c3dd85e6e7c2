package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master and its replica, watched by three sentinels, that belong to one test. They
// end with the test. If a method waits too long, it fails the test by t.Fatal. So only the test's
// own goroutine may call the methods.
type Sentinel struct {
	// Servers are the two Redis servers. The first began as the master.
	Servers []*Process
	// Sentinels are the processes that watch the servers. Two of them must agree on a failover.
	Sentinels []*Process

	t       testing.TB
	servers []node
	watches []*redis.SentinelClient // one for each of Sentinels
}

// NewSentinel starts the servers and the sentinels. If there is no redis-server in the PATH, it
// skips the test with the reason. It returns when the replica is in sync and all sentinels know all
// processes, after about a second. The args are appended to the command line of both servers.
//
// A failover begins when the master has not answered for three quarters of a second. It takes one
// to three seconds more.
func NewSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t}
	for i := range 2 {
		with := args
		if i > 0 {
			with = append([]string{"--replicaof", host + " " + strconv.Itoa(s.Servers[0].port)}, args...)
		}
		p := NewProcess(t, with...)
		s.Servers = append(s.Servers, p)
		s.servers = append(s.servers, node{p, p.Client()})
	}
	for range 3 {
		p := launchSentinel(t, s.Servers[0].port)
		s.Sentinels = append(s.Sentinels, p)
		s.watches = append(s.watches, watch(t, p))
	}
	s.WaitUntilWhole()
	return s
}

// Options returns options for a client that follows the master. A test may change them.
func (s *Sentinel) Options() *redis.FailoverOptions {
	o := &redis.FailoverOptions{MasterName: masterName}
	for _, p := range s.Sentinels {
		o.SentinelAddrs = append(o.SentinelAddrs, p.Addr())
	}
	return o
}

// Client returns a client with these options, closed with the test.
func (s *Sentinel) Client() *redis.Client {
	c := redis.NewFailoverClient(s.Options())
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Master returns the server that the sentinels call the master. It asks the sentinels that are up,
// and fails the test if they do not agree.
func (s *Sentinel) Master() *Process {
	s.t.Helper()
	master, err := s.master(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return master
}

// KillMaster kills the master and returns it. WaitForNewMaster waits for the failover.
func (s *Sentinel) KillMaster() *Process {
	s.t.Helper()
	master := s.Master()
	master.Kill()
	return master
}

// WaitForNewMaster waits until another server than old is the master, and returns it. All sentinels
// that are up must agree on it.
func (s *Sentinel) WaitForNewMaster(old *Process) *Process {
	s.t.Helper()
	var master *Process
	within(s.t, 30*time.Second, func() (err error) {
		ctx := context.Background()
		if master, err = s.master(ctx); err != nil {
			return err
		}
		if master == old {
			return fmt.Errorf("the sentinels still call %s the master", old.Addr())
		}
		for _, n := range s.servers {
			if n.Process == master {
				return n.says(ctx, "role:master")
			}
		}
		return nil
	})
	return master
}

// WaitUntilWhole waits until all processes are up, the replica is in sync with the master, and the
// sentinels know all processes. Then a failover is possible. A master that was killed and restarted
// is a replica after about two seconds.
func (s *Sentinel) WaitUntilWhole() {
	s.t.Helper()
	within(s.t, 40*time.Second, func() error {
		ctx := context.Background()
		master, err := s.master(ctx)
		if err != nil {
			return err
		}
		for _, n := range s.servers {
			wants := []string{"role:slave", "master_link_status:up", "master_port:" + strconv.Itoa(master.port)}
			if n.Process == master {
				wants = []string{"role:master", "connected_slaves:1"}
			}
			if err := n.says(ctx, wants...); err != nil {
				return err
			}
		}
		for i, w := range s.watches {
			if err := ready(ctx, w); err != nil {
				return fmt.Errorf("sentinel %s: %w", s.Sentinels[i].Addr(), err)
			}
		}
		return nil
	})
}

// masterName is the name of the pair of servers in the configuration of the sentinels.
const masterName = "main"

// launchSentinel starts a sentinel that watches the master at port.
func launchSentinel(t testing.TB, port int) *Process {
	t.Helper()
	return launch(t, "Sentinel ID is", func(own int, dir string) ([]string, error) {
		name := filepath.Join(dir, "sentinel.conf") // the sentinel rewrites it
		config := fmt.Sprintf(`bind %[1]s
port %[2]d
dir "%[3]s"
sentinel monitor %[4]s %[1]s %[5]d 2
sentinel down-after-milliseconds %[4]s 1500
sentinel failover-timeout %[4]s 3000
`, host, own, filepath.ToSlash(dir), masterName, port)
		return []string{name, "--sentinel"}, os.WriteFile(name, []byte(config), 0o600)
	})
}

// watch returns a client of a sentinel. It makes the sentinel quicker than its configuration can.
func watch(t testing.TB, p *Process) *redis.SentinelClient {
	t.Helper()
	c := redis.NewSentinelClient(&redis.Options{
		Addr: p.Addr(), MaxRetries: -1,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	t.Cleanup(func() { _ = c.Close() })
	ctx := context.Background()
	// While the master is down, a sentinel asks a replica for its INFO once a second. It does not
	// choose a replica whose INFO is older than five ping periods. So the ping period must not be
	// shorter.
	quicker := redis.NewStatusCmd(ctx, "sentinel", "debug",
		"ping-period", 300, "publish-period", 200, "info-period", 500, "tilt-period", 2000)
	if c.Process(ctx, quicker) != nil {
		return c // it is older than Redis 7.0: everything takes some seconds more
	}
	// This must be longer than a ping period, so it comes second. A sentinel pings a new server for
	// the first time after a ping period, and would take it for dead before that.
	if err := c.Set(ctx, masterName, "down-after-milliseconds", "750").Err(); err != nil {
		t.Fatalf("sentinel %s: %v", p.Addr(), err)
	}
	return c
}

// master returns the server that all sentinels that are up call the master.
func (s *Sentinel) master(ctx context.Context) (*Process, error) {
	said := ""
	for i, p := range s.Sentinels {
		if !p.Up() {
			continue
		}
		addr, err := s.watches[i].GetMasterAddrByName(ctx, masterName).Result()
		if err != nil {
			return nil, fmt.Errorf("sentinel %s: %w", p.Addr(), err)
		}
		hostPort := net.JoinHostPort(addr[0], addr[1])
		if said != "" && said != hostPort {
			return nil, fmt.Errorf("the sentinels call both %s and %s the master", said, hostPort)
		}
		said = hostPort
	}
	for _, p := range s.Servers {
		if p.Addr() == said {
			return p, nil
		}
	}
	return nil, fmt.Errorf("the sentinels call %q the master, but it is none of the servers", said)
}

// ready returns an error unless the sentinel sees a healthy master, its replica and the two other
// sentinels.
func ready(ctx context.Context, w *redis.SentinelClient) error {
	if err := w.CkQuorum(ctx, masterName).Err(); err != nil {
		return err
	}
	master, err := w.Master(ctx, masterName).Result()
	if err != nil {
		return err
	}
	if master["flags"] != "master" || master["num-slaves"] != "1" || master["num-other-sentinels"] != "2" {
		return fmt.Errorf("the master is %v", master)
	}
	replicas, err := w.Replicas(ctx, masterName).Result()
	if err != nil {
		return err
	}
	if len(replicas) != 1 || replicas[0]["flags"] != "slave" || replicas[0]["master-link-status"] != "ok" {
		return fmt.Errorf("the replicas are %v", replicas)
	}
	return nil
}

// says returns an error unless the node's INFO about its replication has all these lines.
func (n node) says(ctx context.Context, lines ...string) error {
	if !n.Up() {
		return errors.New(n.Addr() + " is not up")
	}
	info, err := n.client.Info(ctx, "replication").Result()
	if err != nil {
		return fmt.Errorf("%s: %w", n.Addr(), err)
	}
	for _, line := range lines {
		if !strings.Contains(info, line+"\r\n") {
			return fmt.Errorf("%s does not say %q:\n%s", n.Addr(), line, info)
		}
	}
	return nil
}
