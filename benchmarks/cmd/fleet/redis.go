package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// openRedis returns the address of the Redis at addr, or of a redis-server that it starts if addr is
// empty. stop ends that server.
func openRedis(addr string) (at string, stop func(), err error) {
	if addr != "" {
		return addr, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return "", nil, err
	}
	for range 10 { // a port that was free a moment ago may be taken
		var kill func()
		if at, kill, err = startRedis(dir); err == nil {
			return at, func() {
				kill()
				_ = os.RemoveAll(dir)
			}, nil
		}
	}
	return "", nil, errors.Join(err, os.RemoveAll(dir))
}

// startRedis starts a redis-server, whose files are in dir.
func startRedis(dir string) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err := errors.Join(err, l.Close()); err != nil {
		return "", nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	for range 200 {
		select {
		case <-ended:
			return "", nil, fmt.Errorf("redis-server has ended: %s", said.String())
		case <-time.After(20 * time.Millisecond):
		}
		s, err := connect(addr)
		if err == nil {
			s.close()
			return addr, stop, nil
		}
	}
	stop()
	return "", nil, errors.New("redis-server does not answer")
}

// server is a connection to the Redis that is measured.
type server struct {
	addr   string
	client *redis.Client
}

func connect(addr string) (*server, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, ReadTimeout: 30 * time.Second, MaxRetries: -1})
	if err := c.Ping(context.Background()).Err(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &server{addr, c}, nil
}

func (s *server) close() { _ = s.client.Close() }

// counters are what the server has counted since it started.
type counters struct {
	at                   time.Time
	cpu, bytes, commands float64
	connections          int
}

func (s *server) counters() (c counters, err error) {
	info, err := s.client.InfoMap(context.Background(), "cpu", "stats", "clients").Result()
	if err != nil {
		return c, err
	}
	number := func(section, name string) float64 {
		n, wrong := strconv.ParseFloat(info[section][name], 64)
		if wrong != nil {
			err = fmt.Errorf("the server does not say its %s: %w", name, wrong)
		}
		return n
	}
	c.at = time.Now()
	c.cpu = number("CPU", "used_cpu_sys") + number("CPU", "used_cpu_user")
	c.bytes = number("Stats", "total_net_output_bytes")
	c.commands = number("Stats", "total_commands_processed")
	c.connections = int(number("Clients", "connected_clients"))
	return c, err
}

// since returns the cost from earlier counters to these.
func (c *counters) since(earlier counters) cost {
	wall := c.at.Sub(earlier.at).Seconds()
	return cost{(c.cpu - earlier.cpu) / wall, (c.bytes - earlier.bytes) / wall, (c.commands - earlier.commands) / wall}
}
