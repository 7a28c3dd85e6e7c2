package cache

import (
	"context"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/jitter"
)

// keep stores what was loaded in both levels, unless the load was overtaken or the
// condition or the key's fence refuses it. It reports whether a level has it: a remote that
// could not be written does not keep it out of local.
func (c *jetCache) keep(ctx context.Context, key string, data []byte, life lifetimes, note flight.Note[outcome], it item, g guard) bool {
	began := time.Now()
	if c.remote.exists() && life.remote > 0 {
		if !note.BeginFill() { // overtaken, or somebody is writing the key
			if c.remote.fenced() {
				c.remote.fences.countRefused(1)
				return false // only the remote could say what the fence says
			}
			if it.condition != always {
				return false // only the remote could say whether it holds
			}
			return c.keepOnlyLocally(key, data, life, note, it, g)
		}
		defer note.EndFill()
		fill, err := c.remote.fill(ctx, key, data, life.remote, it.condition, g)
		if note.Overtaken() {
			if fill == fillStored || err != nil {
				c.undo(ctx, key)
			}
			return false
		}
		if fill != fillStored && err == nil {
			return false
		}
	}
	return c.keepOnlyLocally(key, data, life.since(began), note, it, g)
}

func (c *jetCache) keepOnlyLocally(key string, data []byte, life lifetimes, note flight.Note[outcome], it item, g guard) (kept bool) {
	note.FillLoaded(func() { kept = c.keepLocal(key, data, life, it, g) })
	return kept
}

// undo removes from the remote what an overtaken load has put there, also if its callers
// have left meanwhile. A failure is logged and counted.
func (c *jetCache) undo(ctx context.Context, keys ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if len(keys) > 0 {
		_ = c.remote.mdel(ctx, keys) // logged and counted
	}
}

// keepLocal is the local half of keep and of a Set; it reports whether the condition of
// the item allowed it.
func (c *jetCache) keepLocal(key string, data []byte, life lifetimes, it item, g guard) bool {
	// Where the remote is written, it has decided about the condition.
	if (!c.remote.exists() || life.remote <= 0) && !c.allowedLocally(key, it.condition) {
		return false
	}
	if it.skipLocal { // what it holds is older
		c.local.del(key)
	} else {
		c.local.set(key, data, life.local, g.phase)
	}
	return true
}

// allowedLocally says whether the condition of a write that does not go to the remote
// holds.
func (c *jetCache) allowedLocally(key string, cond condition) bool {
	if cond == always {
		return true
	}
	_, there := c.local.get(key)
	return there == (cond == ifPresent)
}

// lifetimes says how long each level keeps an entry.
type lifetimes struct {
	remote time.Duration // zero or less: it is not written
	local  time.Duration // noBound: as long as the store keeps its entries
}

// since takes from the local lifetime what has passed since the remote was written: it
// read its clock some time after began.
func (l lifetimes) since(began time.Time) lifetimes {
	if l.remote > 0 && l.local > 0 {
		if l.local -= time.Since(began); l.local <= 0 {
			l.local = -1
		}
	}
	return l
}

// lifetimes returns those of a value with the TTL of an item.
func (c *jetCache) lifetimes(ttl time.Duration) lifetimes {
	switch {
	case ttl > 0:
		return lifetimes{ttl, ttl}
	case ttl < 0:
		return lifetimes{0, noBound}
	case c.remote.exists():
		return lifetimes{c.remoteExpiry, c.remoteExpiry}
	}
	return lifetimes{0, noBound}
}

// placeholderLifetimes returns those of a placeholder for an item with this TTL.
func (c *jetCache) placeholderLifetimes(ttl time.Duration) lifetimes {
	d := jitter.Add(c.notFoundExpiry, c.offset)
	if ttl < 0 {
		return lifetimes{0, d}
	}
	return lifetimes{d, d}
}
