package remotetest

import (
	"context"
	"errors"
	"time"

	"github.com/mgtv-tech/jetcache-go/remote"
)

// Attend renews members, by the clock of the process, and returns the tokens of the channels.
func (b *Bus) Attend(ctx context.Context, ttl time.Duration, attendances ...remote.Attendance) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(ctx.Err(), b.err); err != nil {
		return nil, err
	}
	now := time.Now()
	tokens := make([]string, len(attendances))
	for i, a := range attendances {
		members := b.members[a.Channel]
		if members == nil {
			members = make(map[string]time.Time)
			b.members[a.Channel] = members
		}
		step := uint64(0)
		for m, until := range members {
			if !now.Before(until) {
				delete(members, m)
				step = 1
			}
		}
		for _, m := range a.Joining {
			members[m] = now.Add(ttl)
		}
		for _, m := range a.Staying {
			if _, there := members[m]; !there {
				step = 1
			}
			members[m] = now.Add(ttl)
		}
		tokens[i] = b.tokenLocked(a.Channel, step).String()
	}
	return tokens, nil
}

// Leave removes members.
func (b *Bus) Leave(ctx context.Context, channel string, members ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(ctx.Err(), b.err); err != nil {
		return err
	}
	for _, m := range members {
		delete(b.members[channel], m)
	}
	return nil
}
