package redistest

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProcessTakesArguments(t *testing.T) {
	p := NewProcess(t, "--maxmemory", "3mb", "--requirepass", "secret")
	ctx := context.Background()
	if err := p.Client().Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Fatalf("without the password: %v", err)
	}
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), Password: "secret"})
	defer func() { _ = c.Close() }()
	if got := c.ConfigGet(ctx, "maxmemory").Val()["maxmemory"]; got != "3145728" {
		t.Errorf("maxmemory is %q", got)
	}
}

func TestProcessIsKilledAndRestarted(t *testing.T) {
	p := NewProcess(t, "--appendonly", "yes", "--appendfsync", "always")
	ctx, c, addr, pid := context.Background(), p.Client(), p.Addr(), p.Pid()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if _, err := net.Dial("tcp", addr); err == nil || p.Up() {
		t.Errorf("after Kill: dialled with %v, Up is %v", err, p.Up())
	}
	p.Kill() // once more does nothing
	p.Restart()
	if got, err := c.Get(ctx, "k").Result(); got != "v" || err != nil {
		t.Errorf("after Restart: %q, %v", got, err)
	}
	if p.Addr() != addr || p.Pid() == pid || !p.Up() {
		t.Errorf("after Restart: at %s, process %d, Up is %v", p.Addr(), p.Pid(), p.Up())
	}
}

func TestProcessIsPaused(t *testing.T) {
	p := NewProcess(t)
	c, ctx := p.Client(), context.Background()
	p.Pause()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := c.WithTimeout(50 * time.Millisecond).Ping(short).Err(); err == nil || p.Up() {
		t.Errorf("paused: it answers with %v, Up is %v", err, p.Up())
	}
	p.Resume()
	if err := c.Ping(ctx).Err(); err != nil || !p.Up() {
		t.Errorf("resumed: %v, Up is %v", err, p.Up())
	}
	p.Pause() // a paused process ends with the test too
}

func TestProcessEndsWithTheTest(t *testing.T) {
	var p *Process
	t.Run("inner", func(t *testing.T) { p = NewProcess(t) })
	if p == nil {
		t.Skip("skipped with the inner test")
	}
	select {
	case <-p.ended:
	default:
		t.Error("the process outlives its test")
	}
}

func TestProcessTellsWhyItDidNotStart(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("skipped: install redis-server")
	}
	p := &Process{t: t, port: 1, dir: t.TempDir(), ready: "never said", args: []string{"--no-such-option", "1"}}
	if err := p.start(); err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("a wrong option: %v", err)
	}
	taken, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	p.args = []string{"--bind", host, "--port", strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)}
	if err := p.start(); !errors.Is(err, errPortTaken) {
		t.Errorf("a port in use: %v", err)
	}
}

func TestProcessIsSkippedWithoutBinary(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("REDIS_ADDR", "127.0.0.1:1")
	skipped := false
	t.Run("inner", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		NewProcess(t)
	})
	if !skipped {
		t.Error("not skipped")
	}
}
