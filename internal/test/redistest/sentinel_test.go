package redistest

import (
	"context"
	"testing"
	"time"
)

func TestSentinelFailsOver(t *testing.T) {
	for name, down := range map[string]func(*Sentinel) *Process{
		"killed": (*Sentinel).KillMaster,
		"paused": func(s *Sentinel) *Process {
			master := s.Master()
			master.Pause()
			return master
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s := NewSentinel(t)
			t.Logf("ready after %v", time.Since(began))
			if s.Master() != s.Servers[0] {
				t.Fatalf("%s is the master at the start", s.Master().Addr())
			}
			c, ctx := s.Client(), context.Background()
			if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}

			began = time.Now()
			old := down(s)
			next := s.WaitForNewMaster(old)
			t.Logf("failover after %v", time.Since(began))
			if old != s.Servers[0] || next != s.Servers[1] || s.Master() != next {
				t.Errorf("%s was followed by %s; the master is %s", old.Addr(), next.Addr(), s.Master().Addr())
			}
			within(t, 10*time.Second, func() error { return c.Set(ctx, "k", "w", 0).Err() })
			if got := next.Client().Get(ctx, "k").Val(); got != "w" {
				t.Errorf("the new master has %q", got)
			}

			if name == "paused" {
				old.Resume()
			} else {
				old.Restart()
			}
			began = time.Now()
			s.WaitUntilWhole()
			t.Logf("whole after %v", time.Since(began))
			if got := old.Client().Get(ctx, "k").Val(); got != "w" {
				t.Errorf("the old master has %q when it is back", got)
			}
		})
	}
}
