package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// session is one subscription of a hub. With tokens, it has rounds, one in each interval of
// heartbeats: it adds and removes channels, reads the tokens, and waits until all messages that were
// published before must have arrived.
type session struct {
	hub     *hub
	attempt uint64
	sub     remote.Subscription // nil if the bus has no tokens
	ready   func()
	cancel  context.CancelCauseFunc
	now     chan struct{} // an element begins a round at once

	// Only the goroutine of the rounds uses these.

	streams map[*stream]bool // the streams that are followed; true if the first check of it has ended
	rounds  int
	blind   bool          // the server does not let a node look for dead members that need not be one itself
	missing int           // checks that have found missing messages, since the last one that has found new messages only
	missed  time.Duration // when the last of them was, by clock
}

// countRounds is the number of rounds after which the followers are counted again. In the first
// rounds they are counted each time, because other processes may start now, too.
const countRounds = 8

// open subscribes, and returns the reason when the subscription has ended.
func (h *hub) open(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{hub: h, ready: ready, cancel: cancel, now: make(chan struct{}, 1), streams: make(map[*stream]bool)}
	h.mu.Lock()
	h.attempt++
	s.attempt = h.attempt
	var channels []string
	for _, st := range h.streams {
		s.streams[st] = false
		channels = append(channels, st.changes, st.signals)
	}
	h.mu.Unlock()
	if len(channels) == 0 {
		return errEnded // the last Link has just left
	}
	var once sync.Once // a bus of a user's own may call ready twice
	subscribed := func(sub remote.Subscription) {
		once.Do(func() {
			s.sub = sub
			s.begin(ctx)
		})
	}
	var err error
	if h.seq == nil {
		err = h.bus.Subscribe(ctx, channels, func() { subscribed(nil) }, h.receive)
	} else {
		err = h.seq.Follow(ctx, channels, subscribed, h.receive)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// begin is called when the subscription is ready.
func (s *session) begin(ctx context.Context) {
	h := s.hub
	h.heard(h.clock())
	h.mu.Lock()
	h.session = s
	h.failure = nil
	h.mu.Unlock()
	h.restart(s)
	h.running.Go(func() { h.watch(ctx, s.cancel) })
	if h.seq == nil {
		s.finish()
		return
	}
	h.running.Go(func() { s.run(ctx) })
}

// restart forgets what was received before the subscription of s.
func (h *hub) restart(s *session) {
	settling := missedHeartbeats * h.heartbeat()
	for st := range s.streams {
		st.mu.Lock()
		st.seq = sequence{}
		st.peers.restart(settling)
		st.unreadable = false
		st.mu.Unlock()
	}
}

func (s *session) kick() { nudge(s.now) }

// run has rounds until ctx ends.
func (s *session) run(ctx context.Context) {
	for ctx.Err() == nil {
		heartbeat := s.hub.heartbeat()
		began := time.Now()
		err := s.round(ctx, missedHeartbeats*heartbeat)
		if ctx.Err() != nil {
			return
		}
		s.hub.mu.Lock()
		s.hub.failure = err
		s.hub.mu.Unlock()
		pause := heartbeat - time.Since(began)
		if err != nil {
			pause = max(pause, heartbeat/4)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.now:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// round checks that no message is missing. Its calls take at most bound each.
func (s *session) round(ctx context.Context, bound time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if err := s.adjust(ctx); err != nil {
		return fmt.Errorf("changing the subscription: %w", err)
	}
	h := s.hub
	if !h.plain.Load() || s.rounds == 0 {
		if err := s.checkTokens(ctx); err != nil {
			return err
		}
	}
	s.finish()
	if s.rounds < countRounds || s.rounds%countRounds == 0 {
		s.count(ctx)
	}
	s.rounds++
	return nil
}

// adjust adds channels of Links that have come, and removes those of Links that have left.
func (s *session) adjust(ctx context.Context) error {
	now, _ := s.hub.all()
	var more []string
	for _, st := range now {
		if _, known := s.streams[st]; !known {
			more = append(more, st.changes, st.signals)
		}
	}
	for st := range s.streams {
		if !slices.Contains(now, st) {
			if gone := s.unused(st, now); len(gone) > 0 {
				if err := s.sub.Remove(ctx, gone...); err != nil {
					return err // the next round tries again
				}
			}
			delete(s.streams, st)
		}
	}
	if len(more) == 0 {
		return nil
	}
	if err := s.sub.Add(ctx, more...); err != nil {
		return err
	}
	for _, st := range now {
		if _, known := s.streams[st]; !known {
			s.streams[st] = false
		}
	}
	return nil
}

// unused returns the channels of st, unless a stream in now has them, too: its last Link left, and
// another one came.
func (s *session) unused(st *stream, now []*stream) []string {
	for _, other := range now {
		if other.changes == st.changes {
			return nil
		}
	}
	return []string{st.changes, st.signals}
}

// checkTokens reads the tokens of all streams, and looks for missing messages.
func (s *session) checkTokens(ctx context.Context) error {
	h, began := s.hub, s.hub.clock()
	var streams []*stream
	var begun []sequence
	var channels []string
	for st := range s.streams {
		st.mu.Lock()
		begun = append(begun, st.seq.begin())
		st.mu.Unlock()
		streams, channels = append(streams, st), append(channels, st.changes)
	}
	if len(channels) == 0 {
		return nil
	}
	tokens, err := s.tokens(ctx, streams, channels)
	if errors.Is(err, remote.ErrUnsupported) {
		h.refuse(err)
		return nil
	}
	if err == nil && len(tokens) != len(channels) {
		err = fmt.Errorf("%d tokens of %d channels were read", len(tokens), len(channels))
	}
	if err != nil {
		return fmt.Errorf("reading the tokens: %w", err)
	}
	h.accept()
	read := make([]token, len(tokens))
	for i := range tokens {
		read[i] = parseToken(tokens[i])
	}
	if err := s.sync(ctx, streams, read); err != nil {
		return err
	}
	var missing error
	arrived := false
	for i, st := range streams {
		read := read[i]
		st.mu.Lock()
		news := s.streams[st] && read != st.seq.checked
		gap := st.seq.end(begun[i], read)
		st.mu.Unlock()
		if gap != "" && h.has(st) {
			h.gap(st, gap)
			missing = fmt.Errorf("%w: %s", errMissing, gap)
		}
		arrived = arrived || news
		s.streams[st] = true
	}
	h.heard(began)
	if missing == nil {
		if arrived {
			s.missing = 0
		}
		return nil
	}
	return s.countMissing(began, missing)
}

// countMissing counts a check, begun at began, that has found missing messages. It ends the subscription
// after too many of them.
func (s *session) countMissing(began time.Duration, missing error) error {
	if began-s.missed > missingWindow*s.hub.heartbeat() {
		s.missing = 0
	}
	s.missed = began
	if s.missing++; s.missing < missingChecks {
		return nil
	}
	s.cancel(missing)
	return missing
}

// sync returns when the messages up to the tokens that were read have been received, or are missing.
// Redis answers a ping after all messages. An embedded server may answer before the last one, so what
// is missing is waited for once more.
func (s *session) sync(ctx context.Context, streams []*stream, read []token) error {
	err := s.sub.Sync(ctx)
	if err == nil && s.isBehind(streams, read) {
		err = s.sub.Sync(ctx)
	}
	if err != nil {
		return fmt.Errorf("waiting for the messages up to now: %w", err)
	}
	return ctx.Err()
}

// isBehind reports whether a message up to the token that was read is missing in one of streams.
func (s *session) isBehind(streams []*stream, read []token) bool {
	for i, st := range streams {
		st.mu.Lock()
		last := st.seq.last
		st.mu.Unlock()
		if last.nonce == read[i].nonce && last.number < read[i].number && s.hub.has(st) {
			return true
		}
	}
	return false
}

// missingChecks is the number of checks that find missing messages, with nothing but missing
// messages in between, after which the subscription is begun anew. It may be that of a server that
// is not the master any more. What was missing more than missingWindow heartbeats before does not
// count: numbers are also left out for nodes that have died. If several die at about the same time, the
// subscription is begun anew, too, which costs little beside the gap.
const (
	missingChecks = 2
	missingWindow = 10
)

var errMissing = errors.New("messages do not arrive on this subscription")

// finish tells the Links of all streams that were checked that they hear the other nodes.
func (s *session) finish() {
	h := s.hub
	h.mu.Lock()
	if h.session != s {
		h.mu.Unlock()
		return
	}
	var links []*Link
	for st, checked := range s.streams {
		if checked || !h.tokens() {
			links = append(links, st.links...)
		}
	}
	h.mu.Unlock()
	for _, l := range links {
		if !l.status.Ready() {
			l.within(func() { l.status.becameReady(s.attempt) })
			l.out.nudge()
		}
	}
	s.ready()
}

// refuse makes the hub do without tokens, because the server does not allow them.
func (h *hub) refuse(err error) {
	h.proven.Store(false)
	if !h.plain.CompareAndSwap(false, true) {
		return
	}
	h.changeMode()
	nudge(h.beatNow)
	_, links := h.all()
	for _, l := range links {
		l.within(func() {
			l.cfg.Warn("the tokens of the channel cannot be used, so the nodes notice missing messages by heartbeats: %v", err)
		})
	}
}

// accept makes the hub use tokens again after refuse.
func (h *hub) accept() {
	h.proven.Store(true)
	if h.plain.CompareAndSwap(true, false) {
		h.changeMode()
	}
}

// changeMode forgets the other nodes: those that are expected to send heartbeats are others now.
func (h *hub) changeMode() {
	settling := missedHeartbeats * h.heartbeat()
	streams, _ := h.all()
	for _, st := range streams {
		st.mu.Lock()
		st.peers.restart(settling)
		st.mu.Unlock()
	}
}

// count counts the subscriptions of all processes, if the bus can tell.
func (s *session) count(ctx context.Context) {
	counter, ok := s.hub.seq.(remote.FollowerCounter)
	if !ok {
		return
	}
	streams, _ := s.hub.all()
	channels := make([]string, len(streams))
	for i, st := range streams {
		channels[i] = st.changes
	}
	counts, err := counter.Followers(ctx, channels...)
	if err != nil || len(counts) != len(streams) {
		return // it is for information only
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for i, st := range streams {
		st.followers = counts[i]
	}
}
