package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// sighting says when a node first read a version.
type sighting struct {
	answer
	node  string
	after time.Duration
	old   int // how many answers before that were older
}

func (x sighting) tooOld() string {
	if x.old == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d answers before that were older)", x.old)
}

// follow makes all nodes read a user at the same time, each until it reads this version.
func (s *story) follow(ctx context.Context, id, version int, nodes ...*node) ([]sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	seen, errs := make([]sighting, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			x := sighting{node: n.name}
			for {
				if x.answer, errs[i] = n.read(ctx, id); errs[i] != nil {
					return
				}
				switch x.after = time.Since(began); {
				case x.User.Version == version:
					seen[i] = x
					return
				case x.User.Version > version:
					errs[i] = fmt.Errorf("node %s reads %s, which is newer than version %d", n.name, x.User, version)
					return
				}
				x.old++
			}
		})
	}
	wg.Wait()
	return seen, errors.Join(errs...)
}

// sayFollow prints when each node first reads this version.
func (s *story) sayFollow(ctx context.Context, id, version int, nodes ...*node) error {
	seen, err := s.follow(ctx, id, version, nodes...)
	if err != nil {
		return err
	}
	parts := make([]string, len(seen))
	for i, x := range seen {
		parts[i] = fmt.Sprintf("%s after %s%s", x.node, short(x.after), x.tooOld())
	}
	say("   They read %s: %s.", seen[0].User, strings.Join(parts, ", "))
	return nil
}

// await waits until the health of a node meets the condition, and returns how long that took.
func await(ctx context.Context, n *node, what string, condition func(health) bool) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	var h health
	for {
		if h, err = n.health(ctx); err == nil && condition(h) {
			return time.Since(began), nil
		}
		if err == nil {
			err = sleep(ctx, time.Millisecond)
		}
		if err != nil {
			return 0, fmt.Errorf("waiting for node %s %s, which says %+v: %w", n.name, what, h, err)
		}
	}
}

// took prints how long each node took for its answer.
func took(seen []sighting) string {
	parts := make([]string, len(seen))
	for i, x := range seen {
		parts[i] = fmt.Sprintf("%s in %s", x.node, short(x.Took))
	}
	return strings.Join(parts, ", ")
}

// short rounds a duration to a few digits.
func short(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(100 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}
