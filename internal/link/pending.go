package link

import (
	"cmp"
	"context"
	"slices"
)

// pending is a set of keys that are sent together, by the type of their event.
type pending struct {
	keys     map[int]map[string]struct{}
	n        int      // number of keys
	overflow bool     // keys were dropped, because there were too many
	receipt  *Receipt // nil if nobody waits for the set to be sent
}

// Receipt tells when the keys of a Tell were published. Its methods may be called concurrently.
type Receipt struct {
	done chan struct{} // closed when the keys were published, or the first attempt has failed
	err  error         // of the first attempt; set before done is closed
}

// Wait waits until the keys were published, and returns nil then. It returns the error if the first
// attempt fails, and ctx's error if ctx ends first. After a failed attempt, the Link tries again
// until one succeeds.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Receipt) settle(err error) {
	r.err = err
	close(r.done)
}

// settled returns a Receipt whose result is err.
func settled(err error) *Receipt {
	r := &Receipt{done: make(chan struct{})}
	r.settle(err)
	return r
}

func (p *pending) add(event int, keys []string) {
	m := p.keys[event]
	if m == nil {
		m = make(map[string]struct{}, len(keys))
		p.keys[event] = m
	}
	before := len(m)
	for _, key := range keys {
		m[key] = struct{}{}
	}
	p.n += len(m) - before
}

// messages returns the changes that name the keys, without their numbers.
func (p *pending) messages() (all []*change) {
	for event, set := range p.keys {
		keys := make([]string, 0, len(set))
		for key := range set {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for part := range slices.Chunk(keys, maxKeys) {
			all = append(all, &change{EventType: event, Keys: part})
		}
	}
	slices.SortStableFunc(all, func(a, b *change) int { return cmp.Compare(a.EventType, b.EventType) })
	return all
}

// settle settles the Receipt, if there is one. A nil set has none.
func (p *pending) settle(err error) {
	if p != nil && p.receipt != nil {
		p.receipt.settle(err)
		p.receipt = nil
	}
}
