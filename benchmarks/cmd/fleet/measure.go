package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// settles is how long a fleet is left alone before it is measured.
const settles = time.Second

// measureFleet starts a fleet of n nodes, measures it, and ends it.
func measureFleet(s *server, with settings, n int) (r row, err error) {
	processes := min(with.processes, n)
	var children []*child
	defer func() {
		for _, c := range children {
			c.end()
		}
	}()
	for i := range processes {
		c, err := startChild(childConfig{
			Addr: s.addr, Channel: fmt.Sprint("fleet:", time.Now().UnixNano()/int64(time.Hour), ":", n),
			Nodes: n/processes + min(1, max(0, n%processes-i)),
		})
		if err != nil {
			return r, err
		}
		children = append(children, c)
	}
	for _, c := range children { // they are ready when they answer
		if _, err := c.result(); err != nil {
			return r, err
		}
	}
	r.nodes = n
	time.Sleep(settles)
	if r.idle, r.connections, err = s.measure(func() error {
		time.Sleep(with.lasts)
		return nil
	}); err != nil {
		return r, err
	}
	var all result
	every := time.Second * time.Duration(processes) / time.Duration(with.rate)
	r.busy, _, err = s.measure(func() error {
		all, err = changeAll(children, request{Lasts: with.lasts, Every: every})
		return err
	})
	if err != nil {
		return r, err
	}
	slices.Sort(all.Took)
	if r.sets, r.failed = len(all.Took)+all.Failed, all.Failed; len(all.Took) > 0 {
		r.p50, r.p99 = all.Took[len(all.Took)/2], all.Took[len(all.Took)*99/100]
	}
	return r, nil
}

// changeAll has children make changes, and returns what they measured.
func changeAll(children []*child, r request) (all result, err error) {
	for _, c := range children {
		if err := c.ask(r); err != nil {
			return all, err
		}
	}
	for _, c := range children {
		got, err := c.result()
		if err != nil {
			return all, err
		}
		all.Took = append(all.Took, got.Took...)
		all.Failed += got.Failed
	}
	return all, nil
}

// measure returns what the server did during do.
func (s *server) measure(do func() error) (c cost, connections int, err error) {
	before, err := s.counters()
	if err != nil {
		return c, 0, err
	}
	if err := do(); err != nil {
		return c, 0, err
	}
	after, err := s.counters()
	return after.since(before), after.connections, err
}

// child is a process that has nodes. It answers each request on its standard input, and sends an
// empty result first, when its nodes are ready.
type child struct {
	cmd     *exec.Cmd
	asks    *json.Encoder
	results *json.Decoder
	closes  func() error
}

func startChild(config childConfig) (*child, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	cmd.Env, cmd.Stderr = append(os.Environ(), childVariable+"="+string(text)), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, json.NewEncoder(in), json.NewDecoder(out), in.Close}, nil
}

func (c *child) ask(q request) error { return c.asks.Encode(q) }

func (c *child) result() (r result, err error) {
	if err := c.results.Decode(&r); err != nil {
		return r, fmt.Errorf("a process of nodes has ended: %w", err)
	}
	return r, nil
}

// end ends the process at once. Its nodes are not closed: at the size of a large fleet that takes
// longer than the measurement.
func (c *child) end() {
	_ = c.cmd.Process.Kill()
	_ = c.closes()
	_ = c.cmd.Wait()
}
