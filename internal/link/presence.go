package link

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// attendance makes Links members of their channels, if the bus can have members (remote.Presence). A
// Link whose changes and messages are two calls must be a member: if its process dies between the two,
// the other nodes notice a gap. Links that need not be members look for dead ones now and then.
type attendance struct {
	bus remote.Presence // nil if the bus has no members
	// turn has an element while a call is under way, so that no call renews a Link that has left.
	turn chan struct{}
	away atomic.Bool // a call is under way that no subscription has made
}

// membership is what a Link knows about itself as a member.
type membership struct {
	must  atomic.Bool  // it must be one
	tried atomic.Bool  // it may be one
	until atomic.Int64 // it is one until then for certain, by the clock of the hub; zero if it never was one
}

func newAttendance(seq remote.Sequencer) *attendance {
	bus, _ := seq.(remote.Presence)
	return &attendance{bus: bus, turn: make(chan struct{}, 1)}
}

// take waits for the turn, and release ends it.
func (a *attendance) take(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *attendance) release() { <-a.turn }

// attend makes a Link a member because it publishes a message that no change has carried. A Link whose
// changes carry their messages is no member before its first one.
func (l *Link) attend() {
	if l.member.must.Load() || l.hub.attendance.bus == nil {
		return
	}
	l.member.must.Store(true)
	l.hub.check()
}

// tokens reads the tokens of streams, whose channels are given in the same order. The same call renews
// the members among their Links.
func (s *session) tokens(ctx context.Context, streams []*stream, channels []string) ([]string, error) {
	h := s.hub
	look := !s.blind && s.rounds%countRounds == countRounds-1
	if h.attendance.bus != nil && (look || h.mustAttend(streams)) {
		tokens, members, err := h.attend(ctx, streams)
		if members > 0 || !errors.Is(err, remote.ErrUnsupported) {
			return tokens, err
		}
		s.blind = true // nodes that need not be members need no right to have members
	}
	return h.seq.Tokens(ctx, channels...)
}

// mustAttend reports whether a Link of streams must be a member.
func (h *hub) mustAttend(streams []*stream) bool {
	return slices.ContainsFunc(streams, func(st *stream) bool {
		return slices.ContainsFunc(h.linksOf(st), func(l *Link) bool { return l.member.must.Load() })
	})
}

// attend renews the members among the Links of streams, and removes dead ones. It returns the tokens of
// their channels, and the number of members that it was to renew.
func (h *hub) attend(ctx context.Context, streams []*stream) (tokens []string, members int, err error) {
	a := h.attendance
	if err := a.take(ctx); err != nil {
		return nil, 0, err
	}
	defer a.release()
	began, ttl := h.clock(), missedHeartbeats*h.heartbeat()
	calls := make([]remote.Attendance, len(streams))
	var links []*Link
	for i, st := range streams {
		calls[i].Channel = st.changes
		for _, l := range h.linksOf(st) {
			switch {
			case !l.member.must.Load():
				continue
			case time.Duration(l.member.until.Load()) > began:
				calls[i].Staying = append(calls[i].Staying, l.cfg.Instance)
			default:
				calls[i].Joining = append(calls[i].Joining, l.cfg.Instance)
			}
			l.member.tried.Store(true)
			links = append(links, l)
		}
	}
	if tokens, err = a.bus.Attend(ctx, ttl, calls...); err != nil {
		return nil, len(links), err
	}
	for _, l := range links {
		l.member.until.Store(int64(began + ttl))
	}
	return tokens, len(links), nil
}

// attendAway renews the members while there is no subscription whose checks do so: they can still
// change keys and publish messages.
func (h *hub) attendAway(ctx context.Context) {
	a := h.attendance
	h.mu.Lock()
	away := h.session == nil
	h.mu.Unlock()
	streams, _ := h.all()
	if !away || a.bus == nil || !h.tokens() || !h.mustAttend(streams) || !a.away.CompareAndSwap(false, true) {
		return
	}
	h.running.Go(func() {
		defer a.away.Store(false)
		ctx, cancel := context.WithTimeout(ctx, missedHeartbeats*h.heartbeat())
		defer cancel()
		_, _, _ = h.attend(ctx, streams) // if that fails, the others notice a gap, as for a node that died
	})
}

// depart ends the membership of a Link that hub.leave has removed, in at most bound. If it fails, the
// membership runs out, and the other nodes notice a gap.
func (l *Link) depart(bound time.Duration) {
	a := l.hub.attendance
	if !l.member.tried.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	departed := make(chan struct{})
	go func() {
		defer close(departed)
		if a.take(ctx) == nil {
			defer a.release()
			_ = a.bus.Leave(ctx, l.cfg.Changes, l.cfg.Instance)
		}
	}()
	select {
	case <-departed:
	case <-ctx.Done(): // the bus hangs in a call; the goroutine ends when it returns
	}
}
