package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// readTogether: one node loads what all three miss.
func (s *story) readTogether(ctx context.Context) error {
	say("\n1. All three read user 1 at the same moment. Nobody has it.")
	for round, want := range []int{1, 0} {
		before, err := s.db.queries()
		if err != nil {
			return err
		}
		seen, err := s.follow(ctx, ada, 1, s.a, s.b, s.c)
		if err != nil {
			return err
		}
		after, err := s.db.queries()
		if err != nil {
			return err
		}
		if after-before != want {
			return fmt.Errorf("the database was asked %d times, not %d", after-before, want)
		}
		if round == 0 {
			say("   They have %s: %s.", seen[0].User, took(seen))
			say("   The database was asked once: one node had the lease, the others waited for what it stored.")
		} else {
			say("   Once more: %s. Nobody was asked: each has its local level.", took(seen))
		}
	}
	return nil
}

// update: the others follow a change.
func (s *story) update(ctx context.Context) error {
	say("\n2. Node B changes user 1.")
	if err := s.change(ctx, s.b, ada, "Ada King"); err != nil {
		return err
	}
	return s.sayFollow(ctx, ada, 2, s.b, s.a, s.c)
}

// overlap: what was loaded while the user changed is not stored.
func (s *story) overlap(ctx context.Context) error {
	say("\n3. A slow load on node A overlaps a change on node B.")
	if err := s.a.stopAt(ctx, hasRead); err != nil {
		return err
	}
	loaded := make(chan struct{})
	var slow answer
	var failed error
	go func() {
		defer close(loaded)
		slow, failed = s.a.read(ctx, grace)
	}()
	if err := s.a.stopped(ctx); err != nil {
		return err
	}
	say("   A has read user 2 from the database, and is slow to go on. Meanwhile:")
	if err := s.change(ctx, s.b, grace, "Grace Hopper"); err != nil {
		return err
	}
	if err := s.a.goOn(ctx); err != nil {
		return err
	}
	if <-loaded; failed != nil {
		return failed
	}
	if err := s.notInRedis(ctx, grace); err != nil {
		return err
	}
	say("   A goes on. Its caller, who asked before the change, gets %s; Redis does not get it.", slow.User)
	if err := s.sayFollow(ctx, grace, 2, s.a, s.b, s.c); err != nil {
		return err
	}

	say("   The other way round: B is about to commit when A reads.")
	before, err := s.a.health(ctx)
	if err != nil {
		return err
	}
	if err := s.b.stopAt(ctx, willCommit); err != nil {
		return err
	}
	changed := make(chan error, 1)
	go func() {
		a, err := s.b.rename(ctx, grace, "Rear Admiral Hopper")
		changed <- errors.Join(err, failure(a))
	}()
	if err := s.b.stopped(ctx); err != nil {
		return err
	}
	// A may not have heard yet that B has begun, and then does not come as far as the fence.
	var early answer
	refused := uint64(0)
	for deadline := time.Now().Add(patience); refused == 0; {
		if early, err = s.a.read(ctx, grace); err != nil {
			return err
		}
		after, err := s.a.health(ctx)
		if err != nil {
			return err
		}
		if refused = after.FillsRefused - before.FillsRefused; refused == 0 && time.Now().After(deadline) {
			return errors.New("the fence refused nothing")
		}
	}
	if err := s.notInRedis(ctx, grace); err != nil {
		return err
	}
	say("   A's caller gets %s, which is still true, but not for long: the fence is closed, and", early.User)
	say("   it is stored nowhere (FillsRefused: %d).", refused)
	if err := s.b.goOn(ctx); err != nil {
		return err
	}
	if err := <-changed; err != nil {
		return err
	}
	say("   B commits.")
	return s.sayFollow(ctx, grace, 3, s.a, s.b, s.c)
}

// cut: a node that is cut off knows it, and agrees again afterwards.
func (s *story) cut(ctx context.Context) error {
	say("\n4. The line between C and Redis is cut.")
	if _, err := s.follow(ctx, ada, 2, s.c); err != nil { // C has it in local then
		return err
	}
	s.line.Cut()
	took, err := await(ctx, s.c, "to notice that it is cut off", func(h health) bool { return !h.Ready })
	if err != nil {
		return err
	}
	say("   C noticed after %s: SyncStateOf says Ready=false.", short(took))
	if err := s.change(ctx, s.a, ada, "Countess of Lovelace"); err != nil {
		return err
	}
	if err := s.sayFollow(ctx, ada, 3, s.a, s.b); err != nil {
		return err
	}
	old, err := s.c.read(ctx, ada)
	if err != nil {
		return err
	}
	if old.User.Version != 2 {
		return fmt.Errorf("node C, cut off, reads %s", old.User)
	}
	say("   C asks Redis, in vain, and answers from local, in %s: %s. That is old, which C cannot", short(old.Took), old.User)
	say("   know. But it knows, and can say, that it is cut off.")
	refused, err := s.c.rename(ctx, grace, "Somebody")
	if err != nil {
		return err
	}
	if !strings.Contains(refused.Failed, cache.ErrNotFenced.Error()) {
		return fmt.Errorf("node C, cut off, was to change user 2: %q", refused.Failed)
	}
	if u, err := s.db.newest(grace); err != nil || u.Version != 3 {
		return fmt.Errorf("the database has %s, error %v, after a change that was refused", u, err)
	}
	say("   Nor does C change anything that it could not tell: ErrNotFenced, and the database is as it was.")

	s.line.Heal()
	healed := time.Now()
	seen, err := s.follow(ctx, ada, 3, s.c)
	if err != nil {
		return err
	}
	say("   The line is whole again. C reads %s after %s%s,", seen[0].User, short(seen[0].after), seen[0].tooOld())
	if _, err := await(ctx, s.c, "to hear the others again", func(h health) bool { return h.Ready && h.Nodes >= 2 && h.Untold == 0 }); err != nil {
		return err
	}
	say("   and hears the others again after %s. Until then it asked Redis before it believed itself.", short(time.Since(healed)))
	return nil
}

// crash: a node that dies at the worst moment leaves nothing old behind.
func (s *story) crash(ctx context.Context) error {
	say("\n5. Node A changes user 1 and is killed when it has committed, before it clears the caches.")
	before := make(map[*node]health)
	for _, n := range []*node{s.b, s.c} {
		h, err := n.health(ctx)
		if err != nil {
			return err
		}
		before[n] = h
	}
	if err := s.a.stopAt(ctx, committed); err != nil {
		return err
	}
	died := make(chan struct{})
	go func() {
		defer close(died)
		_, _ = s.a.rename(ctx, ada, "Enchantress of Number") // ends with the node
	}()
	if err := s.a.stopped(ctx); err != nil {
		return err
	}
	a := s.a
	s.a = nil
	if err := a.kill(); err != nil {
		return err
	}
	killed := time.Now()
	<-died
	if err := s.sayFollow(ctx, ada, 4, s.b, s.c); err != nil {
		return err
	}
	say("   For Mutate had cleared the caches before the change, too, and closed the fence: until that")
	say("   opens by itself, what is loaded goes to its readers and is stored nowhere.")
	for _, n := range []*node{s.b, s.c} {
		missed := func(h health) bool { return h.Nodes < before[n].Nodes && h.Gaps > before[n].Gaps }
		if _, err := await(ctx, n, "to miss node A", missed); err != nil {
			return err
		}
	}
	say("   B and C noticed within %s that A had fallen silent, and check with Redis what they have of old.", short(time.Since(killed)))
	queries, err := s.db.queries()
	if err != nil {
		return err
	}
	for deadline := killed.Add(patience); !s.redis.Exists(ctx, prefix, ada); {
		if time.Now().After(deadline) {
			return errors.New("user 1 did not come into Redis again")
		}
		if _, err := s.b.read(ctx, ada); err != nil {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	after, err := s.db.queries()
	if err != nil {
		return err
	}
	say("   After %s the fence was open, and the user is in Redis again. Meanwhile, B's readers took %d queries.", short(time.Since(killed)), after-queries)
	if s.a, err = startNode(ctx, "A", s.server.Addr, s.dir); err != nil {
		return err
	}
	say("   Node A is started again.")
	return s.sayFollow(ctx, ada, 4, s.a)
}

// agree: everything has the same.
func (s *story) agree(ctx context.Context) error {
	say("\n6. Do all agree?")
	for _, id := range []int{ada, grace} {
		truth, err := s.db.newest(id)
		if err != nil {
			return err
		}
		if err := s.haveAll(ctx, truth); err != nil {
			return err
		}
		say("   The database, Redis, A, B and C have %s.", truth)
	}
	for _, n := range []*node{s.a, s.b, s.c} {
		if _, err := await(ctx, n, "to be well", func(h health) bool { return h.Ready && h.Untold == 0 }); err != nil {
			return err
		}
	}
	return nil
}

// haveAll waits until all nodes and Redis have what is true of a user.
func (s *story) haveAll(ctx context.Context, truth User) error {
	for deadline := time.Now().Add(patience); ; {
		seen, err := s.follow(ctx, truth.ID, truth.Version, s.a, s.b, s.c)
		if err != nil {
			return err
		}
		for _, x := range seen {
			if x.User != truth {
				return fmt.Errorf("node %s has %s of user %d, the database %s", x.node, x.User, truth.ID, truth)
			}
		}
		inRedis, err := s.redis.Get(ctx, prefix, truth.ID, nil)
		switch {
		case err == nil && inRedis == truth:
			return nil
		case err == nil:
			return fmt.Errorf("user %d is %s in Redis, and %s in the database", truth.ID, inRedis, truth)
		case !errors.Is(err, cache.ErrCacheMiss) || time.Now().After(deadline):
			return fmt.Errorf("user %d in Redis: %w", truth.ID, err)
		}
	}
}

// change has a node change a user.
func (s *story) change(ctx context.Context, n *node, id int, name string) error {
	a, err := n.rename(ctx, id, name)
	if err = errors.Join(err, failure(a)); err != nil {
		return fmt.Errorf("node %s was to change user %d: %w", n.name, id, err)
	}
	say("   %s clears the caches, commits %s, and clears the caches again, in %s.", n.name, name, short(a.Took))
	return nil
}

func failure(a answer) error {
	if a.Failed == "" {
		return nil
	}
	return errors.New(a.Failed)
}

func (s *story) notInRedis(ctx context.Context, id int) error {
	if u, err := s.redis.Get(ctx, prefix, id, nil); !errors.Is(err, cache.ErrCacheMiss) {
		return fmt.Errorf("user %d should not be in Redis, which says: %s, error %v", id, u, err)
	}
	return nil
}
