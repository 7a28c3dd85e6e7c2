package cache

import (
	"cmp"
	"context"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// What reads do with a value that the local level has beyond its TTL. internal/load decides whether it
// may be used.

// backgroundTimeout bounds a load in the background if there is no load timeout.
const backgroundTimeout = 30 * time.Second

// atHand returns what the local level has of the key beyond a plain hit, and how it may be used.
func (s *single) atHand() (load.AtHand, load.Use) {
	if s.opts.skipLocal || s.reload {
		return load.AtHand{}, load.Unused
	}
	return s.c.useOf(&s.req, s.key)
}

// useOf returns what the local level has of key beyond a plain hit, and how a read with req may use it. A
// read without a loader uses what is fresh.
func (c *jetCache) useOf(req *load.Request, key string) (load.AtHand, load.Use) {
	h, ok := c.path.AtHand(key)
	if !ok || !req.Loads() && (h.Doubted || h.Left <= 0) {
		return h, load.Unused
	}
	use := c.path.UseOf(req, key, &h)
	return h, use
}

// readAtHand answers with a stale value if that may be done before the load has ended. done is false if
// the read has to go on.
func (s *single) readAtHand(ctx context.Context) (out record.Outcome, done bool, err error) {
	h, use := s.atHand()
	switch use {
	case load.Answer:
		return s.answer(h), true, nil
	case load.AnswerAndLoad:
		s.loadInBackground(ctx, h.Ahead)
		return s.answer(h), true, nil
	case load.Fallback:
		if soft := orOf(s.opts.softTimeout, s.c.Options.load.softTimeout); soft > 0 {
			return s.readSoftly(ctx, soft)
		}
	default:
	}
	return out, false, nil
}

// answer takes a value at hand as the answer.
func (s *single) answer(h load.AtHand) record.Outcome {
	s.c.observe.LocalHit()
	s.led, s.from = false, record.Local
	return h.Out
}

// readSoftly waits for a load for as long as soft, and then takes the stale value. A load that it has
// joined may end without a result for it. Then it joins or begins another one, within the same time.
func (s *single) readSoftly(ctx context.Context, soft time.Duration) (out record.Outcome, done bool, err error) {
	waits, cancel := context.WithTimeout(ctx, soft)
	defer cancel()
	for ; s.rounds < maxRounds; s.rounds++ {
		s.loadInBackground(ctx, 0)
		out, s.led, err = s.joinOrLead(waits)
		s.from = out.From
		switch {
		case err == nil && out.Kind != record.Miss:
			return out, true, nil
		case ctx.Err() != nil:
			return out, true, ctx.Err()
		case waits.Err() != nil:
			if h, use := s.atHand(); use != load.Unused {
				return s.answer(h), true, nil
			}
			return record.Outcome{}, false, nil
		case err != nil && !flight.LeaderLeft(err):
			out, err = s.orStale(ctx, out, err)
			return out, true, err
		}
	}
	return record.Outcome{}, false, nil
}

// orStale returns the result of a load, or the stale value if the load has failed.
func (s *single) orStale(ctx context.Context, out record.Outcome, err error) (record.Outcome, error) {
	if err == nil || ctx.Err() != nil || s.opts.do == nil || s.reload {
		return out, err
	}
	h, ok := s.c.path.FallbackFor(&s.req, s.key, err)
	if !ok {
		return out, err
	}
	s.led, s.from, s.failure = false, record.Local, err
	return h.Out, nil
}

// loadInBackground begins a load of the key that nobody has to wait for, unless one is under way. ahead is
// the Ahead of its record.
func (s *single) loadInBackground(ctx context.Context, ahead time.Duration) {
	opts := s.opts
	opts.value, opts.explain = nil, nil // the caller's
	opts.loadTimeout = s.c.backgroundTimeoutOf(&opts)
	c, b := s.c, newSingle(s.c, s.key, opts)
	start := c.flights.Start
	if ahead > 0 {
		start = c.flights.StartInBackground
	}
	start(load.WithoutSlot(ctx), s.key, func(ctx context.Context, note flight.Note[record.Outcome]) (record.Outcome, error) {
		ctx, cancel := c.inBackground(ctx, b.req.Timeout)
		defer cancel()
		recs := b.records(note)
		b.rec.Ahead = ahead
		c.quiet.Run(ctx, &b.req, recs)
		c.reportBackground(s.key, b.rec.Err)
		return b.rec.Out, b.rec.Err
	})
}

// backgroundTimeoutOf returns the load timeout of a load in the background.
func (c *jetCache) backgroundTimeoutOf(opts *item) time.Duration {
	return cmp.Or(orOf(opts.loadTimeout, c.Options.load.timeout), backgroundTimeout)
}

// inBackground returns the ctx of a load in the background, whose loader may take timeout. It leaves some
// time for the remote and for other loads, and ends with the cache.
func (c *jetCache) inBackground(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, timeout+backgroundTimeout)
	stop := context.AfterFunc(c.ending, cancel)
	return ctx, func() { stop(); cancel() }
}

// reportBackground logs that a load in the background has failed: there is no caller who gets the error.
func (c *jetCache) reportBackground(key string, err error) {
	if err != nil && c.ending.Err() == nil {
		c.observe.Warn(c.background, "loading %s in the background failed: %+v", quote.Key(key), err)
	}
}

// takeAtHand sets those of the slots open for which the local level has a value beyond a plain hit that is
// the answer. It returns the others.
func (b *batch) takeAtHand(ctx context.Context, open []int) (rest []int) {
	if b.opts.skipLocal || !b.c.local.KeepsStale() {
		return open
	}
	req := b.c.request(&batchLoad{batch: b}, EventTypeSetByMGet, &b.opts)
	var again, fallback []int
	for _, i := range open {
		h, use := b.c.useOf(&req, b.keys[i])
		switch use {
		case load.Answer, load.AnswerAndLoad:
			switch {
			case !b.answer(i, h):
				rest = append(rest, i)
			case h.Ahead > 0:
				b.isDue(i, h.Ahead)
			case use == load.AnswerAndLoad:
				again = append(again, i)
			}
			continue
		case load.Fallback:
			fallback = append(fallback, i)
		default:
		}
		rest = append(rest, i)
	}
	if len(again) > 0 {
		b.loadInBackground(ctx, again, b.c.flights.Claim).claims.Leave()
	}
	b.loadDue(ctx)
	if soft := orOf(b.opts.softTimeout, b.c.Options.load.softTimeout); soft > 0 && len(rest) > 0 && len(fallback) == len(rest) {
		return b.readSoftly(ctx, soft, rest)
	}
	return rest
}

// isDue notes that slot i is to be loaded in the background, with this Ahead.
func (b *batch) isDue(i int, ahead time.Duration) {
	if b.ahead == nil {
		b.ahead = make(map[int]time.Duration)
	}
	b.ahead[i] = ahead
	b.due = append(b.due, i)
}

// loadDue begins a load, in the background, of the slots that are due.
func (b *batch) loadDue(ctx context.Context) {
	if len(b.due) > 0 {
		b.loadInBackground(ctx, b.due, b.c.flights.ClaimInBackground).claims.Leave()
		b.due = nil
	}
}

// answer sets slot i from a value at hand. It reports false if that cannot be decoded.
func (b *batch) answer(i int, h load.AtHand) bool {
	if !b.use(i, h) {
		return false
	}
	b.c.observe.LocalHit()
	b.infos.local(i, nil)
	return true
}

func (b *batch) use(i int, h load.AtHand) bool {
	if h.Out.Kind == record.NotFound {
		b.state[i] = slotAbsent
		return true
	}
	if b.slots.decode(i, h.Out.Data) != nil { // it is loaded, and then overwritten
		return false
	}
	b.state[i] = slotSet
	return true
}

// fallback sets slot i from the stale value of its key, if the load has failed with err and the value may
// be used then.
func (b *batch) fallback(i int, err error) bool {
	if _, reload := b.reload[i]; reload || !b.slots.loads() {
		return false
	}
	req := b.c.request(nil, EventTypeSetByMGet, &b.opts)
	h, ok := b.c.path.FallbackFor(&req, b.keys[i], err)
	if !ok || !b.use(i, h) {
		return false
	}
	b.infos.local(i, err)
	return true
}

// loadInBackground begins a load of those of the slots at indices whose keys nobody is loading, which it
// claims by claim. It has slots of its own, in the order of indices, and goes on when the batch has its
// result. The caller calls Leave of its claims.
func (b *batch) loadInBackground(ctx context.Context, indices []int, claim func(context.Context, []string) *flight.Batch[record.Outcome]) *batchLoad {
	keys := make([]string, len(indices))
	open := make([]int, len(indices))
	for n, i := range indices {
		keys[n], open[n] = b.keys[i], n
	}
	own := &batch{c: b.c, opts: b.opts, keys: keys, slots: b.slots.apart(indices), state: make([]slotState, len(keys))}
	own.opts.loadTimeout, own.opts.explainEach = b.c.backgroundTimeoutOf(&b.opts), nil
	claims := claim(load.WithoutSlot(ctx), keys)
	claims.Detach()
	l := own.newLoad(claims, open)
	for n := range l.keys {
		l.keys[n].Ahead = b.ahead[indices[l.keys[n].slot]]
	}
	if len(claims.Owned) > 0 {
		claims.Start(func(ctx context.Context) {
			ctx, cancel := l.c.inBackground(ctx, l.request().Timeout)
			defer cancel()
			l.c.quiet.Run(ctx, l.request(), l.records())
			for _, f := range l.failed {
				l.c.reportBackground(f.recs[0].Key, f.err)
			}
		})
	}
	return l
}

// readSoftly waits for a load of the slots open, which have stale values, for as long as soft, and then
// takes these. It returns the slots that have none any more.
func (b *batch) readSoftly(ctx context.Context, soft time.Duration, open []int) (rest []int) {
	l := b.loadInBackground(ctx, open, b.c.flights.Claim)
	defer l.claims.Leave()
	waits, cancel := context.WithTimeout(ctx, soft)
	defer cancel()
	if len(l.claims.Owned) > 0 {
		if ended, err := l.claims.Wait(waits); ended {
			l.report(err)
			b.adopt(l, open)
		}
	}
	for n, owner := range l.claims.Joined {
		if i := open[owner]; b.state[i] == slotOpen {
			if out, err := l.claims.WaitJoined(waits, n); waits.Err() == nil && (err != nil || out.Kind != record.Miss) {
				_ = b.take(i, out, err) // what cannot be decoded stays open
			}
		}
	}
	req := b.c.request(&batchLoad{batch: b}, EventTypeSetByMGet, &b.opts)
	for _, i := range open {
		if b.state[i] != slotOpen {
			continue
		}
		if h, use := b.c.useOf(&req, b.keys[i]); ctx.Err() != nil || use == load.Unused || !b.answer(i, h) {
			rest = append(rest, i)
		}
	}
	return rest
}

// adopt takes the results of l for the slots open, which are those of l in this order.
func (b *batch) adopt(l *batchLoad, open []int) {
	for n, i := range open {
		if b.state[i] = l.state[n]; l.state[n] == slotSet {
			b.slots.adopt(i, l.slots, n)
		}
	}
	b.errs = append(b.errs, l.batch.errs...)
	for n := range l.keys {
		k := &l.keys[n]
		switch i := open[k.slot]; {
		case k.reported && !k.hasValue && l.state[k.slot] == slotSet:
			b.infos.local(i, k.Err)
		default:
			b.infos.led(i, k)
		}
	}
}
