package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Process is a redis-server that belongs to one test. It ends with the test.
//
// Its methods report errors by t.Errorf, so any goroutine may call them before the test has ended.
// Kill, Restart, Pause and Resume must be called one at a time.
type Process struct {
	t     testing.TB
	port  int
	dir   string
	args  []string
	ready string // the text in the log that says that clients are served

	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	starts int
	up     atomic.Bool // running and not paused
}

// NewProcess starts a redis-server on a free loopback port. If there is none in the PATH, it skips
// the test with the reason, whatever REDIS_ADDR says. The server saves nothing to disk. The args
// are appended to its command line, as in NewProcess(t, "--maxmemory", "2mb"). A loglevel above
// notice must not be among them: it would hide that the server is ready.
func NewProcess(t testing.TB, args ...string) *Process {
	t.Helper()
	return launch(t, "Ready to accept connections", func(port int, _ string) ([]string, error) {
		return append([]string{
			"--bind", host, "--port", strconv.Itoa(port),
			"--save", "", "--appendonly", "no",
			// A replica gets its copy at once, and without a file.
			"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
		}, args...), nil
	})
}

// Addr is the address as host:port. It stays the same over restarts.
func (p *Process) Addr() string { return net.JoinHostPort(host, strconv.Itoa(p.port)) }

// Pid is the id of the process that was started last.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Up reports whether the process is neither killed nor paused.
func (p *Process) Up() bool { return p.up.Load() }

// Client returns a client that does not retry, and whose timeouts are a second. It is closed with
// the test.
func (p *Process) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{
		Addr: p.Addr(), MaxRetries: -1,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the process by SIGKILL, even if it is paused, and returns when it is gone.
func (p *Process) Kill() {
	p.up.Store(false)
	_ = p.cmd.Process.Kill() // the only possible error is that it has ended
	<-p.ended
}

// Restart kills the process if it runs, and starts it again on the same port, with the same
// arguments and directory. It returns when clients are served.
func (p *Process) Restart() {
	p.Kill()
	if err := p.start(); err != nil {
		p.t.Errorf("restarting redis-server at %s: %v", p.Addr(), err)
	}
}

// Pause stops the process by SIGSTOP: its connections stay open, but it does not answer.
func (p *Process) Pause() {
	p.up.Store(false)
	if err := pause(p.cmd.Process); err != nil {
		p.t.Errorf("pausing redis-server at %s: %v", p.Addr(), err)
	}
}

// Resume continues a paused process, by SIGCONT.
func (p *Process) Resume() {
	if err := resume(p.cmd.Process); err != nil {
		p.t.Errorf("resuming redis-server at %s: %v", p.Addr(), err)
		return
	}
	p.up.Store(true)
}

const (
	host = "127.0.0.1"
	// busDistance is the distance from the port for clients to the port of the cluster bus (Redis
	// cluster specification, "The cluster bus").
	busDistance = 10000
	// startLimit bounds the start. It is long enough for machines with more tests than cores.
	startLimit = 20 * time.Second
)

// launch starts a redis-server with the arguments that prepare returns for a port and an empty
// directory. If another process takes the port first, launch tries another port.
func launch(t testing.TB, ready string, prepare func(port int, dir string) ([]string, error)) *Process {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("skipped: this test starts a Redis of its own, which REDIS_ADDR cannot replace; install redis-server")
	}
	for {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		p := &Process{t: t, port: port, dir: t.TempDir(), ready: ready}
		if p.args, err = prepare(port, p.dir); err != nil {
			t.Fatal(err)
		}
		err = p.start()
		if errors.Is(err, errPortTaken) {
			continue
		}
		if err != nil {
			t.Fatalf("starting redis-server: %v", err)
		}
		t.Cleanup(p.Kill)
		return p
	}
}

// errPortTaken is the error of start if another process has the port.
var errPortTaken = errors.New("the port is taken")

// start starts the process and waits until it serves clients. After an error no process runs.
func (p *Process) start() error {
	p.starts++
	name := filepath.Join(p.dir, fmt.Sprintf("log-%d", p.starts))
	log, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("redis-server", p.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = p.dir, log, log, dieWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	p.cmd, p.ended = cmd, ended

	// The log says that this process serves the port. A connection could be one to another process.
	limit := time.After(startLimit)
	for dead := false; ; {
		said, err := os.ReadFile(name)
		switch {
		case err != nil:
			p.Kill()
			return err
		case bytes.Contains(said, []byte(p.ready)):
			p.up.Store(true)
			return nil
		case dead && bytes.Contains(said, []byte("Address already in use")):
			return errPortTaken
		case dead:
			return fmt.Errorf("it ended at once and said:\n%s", said)
		}
		select {
		case <-ended:
			dead = true
		case <-limit:
			p.Kill()
			return fmt.Errorf("it was not ready after %v and said:\n%s", startLimit, said)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// freePort returns a port that is free, and whose port for the cluster bus is free, too. Both are
// below 32768: from there on, Linux uses ports for outgoing connections.
func freePort() (int, error) {
	for range 1000 {
		port := 12000 + rand.IntN(10000)
		if free(port) && free(port+busDistance) {
			return port, nil
		}
	}
	return 0, errors.New("no free port from 12000 to 22000")
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
