package cache

import "github.com/mgtv-tech/jetcache-go/stats"

// counter counts for the statistics; its zero value counts nothing, at no cost.
type counter struct {
	handler stats.Handler // nil: nobody counts
	own     *stats.Stats  // handler, if it is one: local hits take less time then
}

func newCounter(h stats.Handler) counter {
	if !stats.Enabled(h) {
		return counter{}
	}
	own, _ := h.(*stats.Stats)
	return counter{h, own}
}

func (c *counter) localHit() {
	switch {
	case c.own != nil:
		c.own.HitLocally()
	case c.handler != nil:
		c.handler.IncrHit()
		c.handler.IncrLocalHit()
	}
}

func (c *counter) remoteHit() {
	if c.handler != nil {
		c.handler.IncrHit()
		c.handler.IncrRemoteHit()
	}
}

func (c *counter) miss() {
	if c.handler != nil {
		c.handler.IncrMiss()
	}
}

func (c *counter) localMiss() {
	if c.handler != nil {
		c.handler.IncrLocalMiss()
	}
}

func (c *counter) remoteMiss() {
	if c.handler != nil {
		c.handler.IncrRemoteMiss()
	}
}

func (c *counter) query() {
	if c.handler != nil {
		c.handler.IncrQuery()
	}
}

func (c *counter) queryFail(err error) {
	if c.handler != nil {
		c.handler.IncrQueryFail(err)
	}
}
