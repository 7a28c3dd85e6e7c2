package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// readTogether shows that one node loads a user that all three miss.
func (s *story) readTogether(ctx context.Context) error {
	say("\n1. All three nodes read user 1 at the same time. No cache has it.")
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
			return fmt.Errorf("there were %d queries, not %d", after-before, want)
		}
		if round == 0 {
			say("   They read %s: %s.", seen[0].User, took(seen))
			say("   There was one query. One node had the lease, and the others waited for the value it stored.")
		} else {
			say("   They read it again: %s. Each found it in its local level.", took(seen))
		}
	}
	return nil
}

// update shows that the other nodes follow a change.
func (s *story) update(ctx context.Context) error {
	say("\n2. Node B changes user 1.")
	if err := s.change(ctx, s.b, ada, "Ada King"); err != nil {
		return err
	}
	return s.sayFollow(ctx, ada, 2, s.b, s.a, s.c)
}

// overlap shows that a load which overlaps a change is not stored.
func (s *story) overlap(ctx context.Context) error {
	say("\n3. A slow load on node A overlaps a change on node B.")
	if err := s.changeWithinLoad(ctx); err != nil {
		return err
	}
	return s.loadWithinChange(ctx)
}

func (s *story) changeWithinLoad(ctx context.Context) error {
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
	say("   A has read user 2 from the database, and is paused before it stores the user. Meanwhile:")
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
	say("   A continues. Its caller asked before the change and gets %s. It is not stored in Redis.", slow.User)
	return s.sayFollow(ctx, grace, 2, s.a, s.b, s.c)
}

func (s *story) loadWithinChange(ctx context.Context) error {
	say("   Now B is paused just before it commits a change, and A reads.")
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
	early, refused, err := s.readRefused(ctx)
	if err != nil {
		return err
	}
	if err := s.notInRedis(ctx, grace); err != nil {
		return err
	}
	say("   A's caller gets %s, which is about to change. The fence is closed, so it is not", early.User)
	say("   stored in any level (FillsRefused: %d).", refused)
	if err := s.b.goOn(ctx); err != nil {
		return err
	}
	if err := <-changed; err != nil {
		return err
	}
	say("   B commits.")
	return s.sayFollow(ctx, grace, 3, s.a, s.b, s.c)
}

// readRefused makes A read until the fence refuses what A has loaded. A may not have heard yet that
// B has begun. Then it finds the user in its local level, and does not load.
func (s *story) readRefused(ctx context.Context) (early answer, refused uint64, err error) {
	before, err := s.a.health(ctx)
	if err != nil {
		return answer{}, 0, err
	}
	for deadline := time.Now().Add(patience); ; {
		if early, err = s.a.read(ctx, grace); err != nil {
			return answer{}, 0, err
		}
		after, err := s.a.health(ctx)
		if err != nil {
			return answer{}, 0, err
		}
		if refused = after.FillsRefused - before.FillsRefused; refused > 0 {
			return early, refused, nil
		}
		if time.Now().After(deadline) {
			return answer{}, 0, errors.New("the fence refused nothing")
		}
	}
}

// cut shows that a node notices when it is cut off from Redis, and agrees again afterwards.
func (s *story) cut(ctx context.Context) error {
	say("\n4. The connection between C and Redis is cut.")
	if _, err := s.follow(ctx, ada, 2, s.c); err != nil { // now C has it in its local level
		return err
	}
	s.line.Cut()
	took, err := await(ctx, s.c, "to notice that it is cut off", func(h health) bool { return !h.Ready })
	if err != nil {
		return err
	}
	say("   C notices it after %s: SyncStateOf says Ready=false.", short(took))
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
	say("   C gets no answer from Redis. After %s it answers from its local level: %s.", short(old.Took), old.User)
	say("   That is stale. C cannot know this, but it reports that it is cut off.")
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
	say("   C refuses to change a user, as it could not tell the others: ErrNotFenced. The database is unchanged.")

	s.line.Heal()
	healed := time.Now()
	seen, err := s.follow(ctx, ada, 3, s.c)
	if err != nil {
		return err
	}
	say("   The connection works again. C reads %s after %s%s.", seen[0].User, short(seen[0].after), seen[0].tooOld())
	if _, err := await(ctx, s.c, "to hear the others again", func(h health) bool { return h.Ready && h.Nodes >= 2 && h.Untold == 0 }); err != nil {
		return err
	}
	say("   After %s C hears the others again. Until then it checked its local entries against Redis.", short(time.Since(healed)))
	return nil
}

// crash shows that a node which dies within a change leaves no stale value behind.
func (s *story) crash(ctx context.Context) error {
	say("\n5. Node A changes user 1. It is killed after the commit, before it removes the user again.")
	for _, n := range []*node{s.b, s.c} {
		if _, err := await(ctx, n, "to know of both others", func(h health) bool { return h.Nodes == 2 }); err != nil {
			return err
		}
	}
	killed, err := s.killWithinChange(ctx)
	if err != nil {
		return err
	}
	if err := s.sayFollow(ctx, ada, 4, s.b, s.c); err != nil {
		return err
	}
	say("   No cache had the old user, as Mutate removes it before the change, too. The fence is closed:")
	say("   until it opens by itself, readers get what they load, and it is not stored.")
	for _, n := range []*node{s.b, s.c} {
		if _, err := await(ctx, n, "to notice that node A is gone", func(h health) bool { return h.Nodes == 1 }); err != nil {
			return err
		}
	}
	say("   After %s B and C have noticed that A is gone.", short(time.Since(killed)))
	queries, err := s.readUntilStored(ctx, killed.Add(patience))
	if err != nil {
		return err
	}
	say("   After %s the fence is open, and the user is in Redis again. Until then B made %d queries.", short(time.Since(killed)), queries)
	if s.a, err = startNode(ctx, "A", s.server.Addr, s.dir); err != nil {
		return err
	}
	say("   Node A is started again.")
	return s.sayFollow(ctx, ada, 4, s.a)
}

// killWithinChange kills A between the commit of a change and its end. It returns when that was.
func (s *story) killWithinChange(ctx context.Context) (killed time.Time, err error) {
	a := s.a
	if err := a.stopAt(ctx, committed); err != nil {
		return killed, err
	}
	died := make(chan struct{})
	go func() {
		defer close(died)
		_, _ = a.rename(ctx, ada, "Enchantress of Number") // fails when the node is killed
	}()
	if err := a.stopped(ctx); err != nil {
		return killed, err
	}
	s.a = nil
	if err := a.kill(); err != nil {
		return killed, err
	}
	killed = time.Now()
	<-died
	return killed, nil
}

// readUntilStored makes B read until Redis has the user again. It returns how many queries there
// were.
func (s *story) readUntilStored(ctx context.Context, deadline time.Time) (queries int, err error) {
	before, err := s.db.queries()
	if err != nil {
		return 0, err
	}
	for !s.redis.Exists(ctx, prefix, ada) {
		if time.Now().After(deadline) {
			return 0, errors.New("user 1 was not stored in Redis again")
		}
		if _, err := s.b.read(ctx, ada); err != nil {
			return 0, err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	after, err := s.db.queries()
	return after - before, err
}

// agree checks that all copies equal the database.
func (s *story) agree(ctx context.Context) error {
	say("\n6. Do all copies agree?")
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
		if _, err := await(ctx, n, "to be ready", func(h health) bool { return h.Ready && h.Untold == 0 }); err != nil {
			return err
		}
	}
	return nil
}

// haveAll waits until all nodes and Redis have a user as the database has it.
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

// change makes a node change a user.
func (s *story) change(ctx context.Context, n *node, id int, name string) error {
	a, err := n.rename(ctx, id, name)
	if err = errors.Join(err, failure(a)); err != nil {
		return fmt.Errorf("node %s changes user %d: %w", n.name, id, err)
	}
	say("   %s removes the user from all caches, commits %s, and removes the user again, in %s.", n.name, name, short(a.Took))
	return nil
}

// failure returns the error of an answer.
func failure(a answer) error {
	if a.Failed == "" {
		return nil
	}
	return errors.New(a.Failed)
}

// notInRedis returns an error if Redis has a user.
func (s *story) notInRedis(ctx context.Context, id int) error {
	if u, err := s.redis.Get(ctx, prefix, id, nil); !errors.Is(err, cache.ErrCacheMiss) {
		return fmt.Errorf("user %d should not be in Redis, which says: %s, error %v", id, u, err)
	}
	return nil
}
