package load

import (
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/jitter"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Lifetimes returns the lifetimes of a value with this TTL. The jitter is drawn for this value alone.
func (p *Path) Lifetimes(ttl time.Duration) record.Lifetimes {
	lives := p.LongestLifetimes(ttl)
	if p.TTLJitter > 0 && lives.Remote > 0 {
		lives.Remote = jitter.Shorten(lives.Remote, p.TTLJitter)
		lives.Local = lives.Remote
	}
	return lives
}

// LongestLifetimes returns the lifetimes of a value with this TTL, without jitter.
func (p *Path) LongestLifetimes(ttl time.Duration) record.Lifetimes {
	switch {
	case ttl > 0:
		return record.Lifetimes{Remote: ttl, Local: ttl}
	case ttl < 0 || !p.Remote.Exists():
		return record.Lifetimes{Local: record.NoBound}
	}
	return record.Lifetimes{Remote: p.RemoteExpiry, Local: p.RemoteExpiry}
}

// NextLifetimes returns the lifetimes of the next value of a batch with this TTL, after one that has
// those of last. They are last if each lifetime would cost a call of the remote.
func (p *Path) NextLifetimes(last record.Lifetimes, ttl time.Duration) record.Lifetimes {
	if p.TTLJitter == 0 || p.Remote.Exists() && !p.Remote.SetsItems() {
		return last
	}
	return p.Lifetimes(ttl)
}

// PlaceholderLifetimes returns the lifetimes of a placeholder for an item with this TTL.
func (p *Path) PlaceholderLifetimes(ttl time.Duration) record.Lifetimes {
	d := jitter.Add(p.NotFoundExpiry, p.Offset)
	if ttl < 0 {
		return record.Lifetimes{Local: d}
	}
	return record.Lifetimes{Remote: d, Local: d}
}
