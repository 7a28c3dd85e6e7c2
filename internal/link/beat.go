package link

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var errSilent = errors.New("it is not certain that messages of the other nodes arrive")

// clock returns the time since the hub was made. It is never compared with the clock of another
// process.
func (h *hub) clock() time.Duration { return time.Since(h.start) }

// heard records that all messages were received that were published before a moment, by clock. The
// moment of the last arrival does not count. On a slow connection, messages arrive at regular
// intervals, but all of them are late: what was published after this moment may still be on its way.
func (h *hub) heard(moment time.Duration) {
	for {
		before := h.echo.Load()
		if int64(moment) <= before || h.echo.CompareAndSwap(before, int64(moment)) {
			return
		}
	}
}

// silence returns the age of the newest moment given to heard.
func (h *hub) silence() time.Duration { return h.clock() - time.Duration(h.echo.Load()) }

// maxWatch bounds the interval in which watch looks: a Link with a shorter heartbeat may join.
const maxWatch = 250 * time.Millisecond

// watch ends a subscription by cancel if it is not certain that messages arrive.
func (h *hub) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	var was, from, longest time.Duration
	var echo int64
	for {
		heartbeat := h.heartbeat()
		if heartbeat < was { // a Link with a shorter one has joined: its time begins now
			from = h.clock()
		}
		if now := h.echo.Load(); now != echo {
			echo, longest = now, 0
		}
		was, longest = heartbeat, max(longest, heartbeat)
		timer := time.NewTimer(min(heartbeat/4, maxWatch))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		silence := h.silence()
		if min(silence, h.clock()-from) >= missedHeartbeats*heartbeat || silence >= missedHeartbeats*longest {
			h.mu.Lock()
			failure := h.failure
			h.mu.Unlock()
			err := fmt.Errorf("%w: for %s", errSilent, silence.Round(time.Millisecond))
			if failure != nil {
				err = fmt.Errorf("%w: %w", err, failure)
			}
			cancel(err)
			return
		}
	}
}

// beat sends heartbeats where nodes expect them, and looks for gaps, until ctx ends.
func (h *hub) beat(ctx context.Context) {
	last := time.Now()
	var longest time.Duration // the longest heartbeat since last: a Link with a shorter one may have joined
	for {
		h.sendHeartbeats(ctx)
		h.attendAway(ctx)
		heartbeat := h.heartbeat()
		longest = max(longest, heartbeat)
		timer := time.NewTimer(heartbeat - time.Since(last))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-h.beatNow:
			timer.Stop()
			continue
		case <-timer.C:
		}
		now := time.Now()
		pause := now.Sub(last)
		stood := pause > missedHeartbeats*longest
		last, longest = now, heartbeat
		streams, _ := h.all()
		for _, st := range streams {
			if stood {
				// The whole process was stopped. Messages that arrived meanwhile are still to be
				// received, so the heartbeats of the other nodes cannot be judged yet.
				st.mu.Lock()
				st.peers.restart(missedHeartbeats * heartbeat)
				st.mu.Unlock()
				h.gap(st, fmt.Sprintf("this process stood still for %s", pause.Round(time.Millisecond)))
			}
			if why := st.judge(now, heartbeat); why != "" {
				h.gap(st, why)
			}
		}
	}
}

// sendHeartbeats sends a heartbeat of each Link of which nodes expect it. If no node does so any
// more, the Link says that it sends no more.
func (h *hub) sendHeartbeats(ctx context.Context) {
	streams, _ := h.all()
	for _, st := range streams {
		numbered := h.numbered(st)
		for _, l := range h.linksOf(st) {
			if !numbered && !l.out.beating.Load() {
				continue
			}
			select {
			case l.sending <- struct{}{}:
				h.running.Go(func() { // the bus may be slow
					defer func() { <-l.sending }()
					l.out.heartbeat(ctx, numbered)
				})
			default:
			}
		}
	}
}

// judge looks for gaps that messages without tokens show, and returns the cause of one, or "".
func (st *stream) judge(now time.Time, heartbeat time.Duration) (why string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.unreadable {
		st.unreadable = false
		why = "a message was not understood"
	}
	if late := st.peers.judge(now, heartbeat); late != "" {
		why = late
	}
	return why
}
