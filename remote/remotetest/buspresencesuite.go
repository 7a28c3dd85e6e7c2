package remotetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// busPresenceChecks are checks of a Bus that is a remote.Presence, too. They pass for every other Bus.
var busPresenceChecks = []suitetest.Check[remote.Bus]{
	{Name: "Attend returns the tokens of its channels", Verify: busAttends},
	{Name: "a member that is not renewed leaves out one number", Verify: busMemberDies},
	{Name: "a member that is renewed, or leaves, leaves out no number", Verify: busMemberLeaves},
	{Name: "a staying member that is missing leaves out one number", Verify: busMemberIsLost},
	{Name: "members belong to their channel", Verify: busMembersOfChannels},
	{Name: "a cancelled context ends Attend and Leave with an error", Verify: busAttendCancelled},
}

// Lifetimes of members: one that is over soon, and one that outlasts the check.
const (
	soonOver = 50 * time.Millisecond
	lasting  = time.Hour
)

// attended is a Bus with members. Its methods call Attend, and note the first error.
type attended struct {
	remote.Sequencer
	remote.Presence
	err error
}

// present calls check if b is a Presence.
func present(b remote.Bus, check func(a *attended) error) error {
	s := remote.AsSequencer(b)
	p, ok := s.(remote.Presence)
	if !ok {
		return nil
	}
	a := &attended{Sequencer: s, Presence: p}
	err := check(a)
	return errors.Join(a.err, err)
}

// attend returns the number of the token of an Attend.
func (a *attended) attend(ttl time.Duration, who remote.Attendance) (number uint64) {
	tokens, err := a.Attend(ctx, ttl, who)
	if err == nil && len(tokens) != 1 {
		err = fmt.Errorf("the tokens of one channel are %q", tokens)
	}
	if err == nil {
		number, _, err = parseToken(tokens[0])
	}
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("Attend: %w", err)
	}
	return number
}

func (a *attended) look() uint64 { return a.attend(lasting, remote.Attendance{Channel: "a"}) }

func (a *attended) join(ttl time.Duration, members ...string) uint64 {
	return a.attend(ttl, remote.Attendance{Channel: "a", Joining: members})
}

func (a *attended) stay(members ...string) uint64 {
	return a.attend(lasting, remote.Attendance{Channel: "a", Staying: members})
}

func (a *attended) leave(members ...string) {
	if err := a.Leave(ctx, "a", members...); err != nil && a.err == nil {
		a.err = fmt.Errorf("Leave: %w", err)
	}
}

func busAttends(b remote.Bus) error {
	return present(b, func(a *attended) error {
		got, err := a.Attend(ctx, lasting, remote.Attendance{Channel: "{a}1", Joining: []string{"x", "y"}}, remote.Attendance{Channel: "{a}2"},
			remote.Attendance{Channel: "{a}3", Joining: []string{"x"}})
		want, err2 := a.Tokens(ctx, "{a}1", "{a}2", "{a}3")
		if err = errors.Join(err, err2); err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("the tokens are %q, want %q, %w", got, want, err)
		}
		if err := errors.Join(a.PublishNext(ctx, "{a}1", []byte(`{"A":1}`))); err != nil {
			return err
		}
		got, err = a.Attend(ctx, lasting, remote.Attendance{Channel: "{a}1", Staying: []string{"x", "y"}})
		if want, err2 = a.Tokens(ctx, "{a}1"); errors.Join(err, err2) != nil || !slices.Equal(got, want) {
			return fmt.Errorf("after a message, the token is %q, want %q, %w", got, want, errors.Join(err, err2))
		}
		if got, err := a.Attend(ctx, lasting); err != nil || len(got) > 0 {
			return fmt.Errorf("without channels: %q, %w", got, err)
		}
		return nil
	})
}

func busMemberDies(b remote.Bus) error {
	return present(b, func(a *attended) error {
		before := a.join(lasting, "lives")
		a.join(soonOver, "dies", "dies too")
		time.Sleep(2 * soonOver)
		if after := a.stay("lives"); after != before+1 {
			return fmt.Errorf("the number was %d and is %d", before, after)
		}
		if again := a.look(); again != before+1 {
			return fmt.Errorf("then the number went from %d to %d", before+1, again)
		}
		// A caller that only looks finds it, too, and so does the member itself.
		a.join(soonOver, "dies")
		time.Sleep(2 * soonOver)
		if after := a.look(); after != before+2 {
			return fmt.Errorf("for a caller that is no member, the number went from %d to %d", before+1, after)
		}
		a.join(soonOver, "stood still")
		time.Sleep(2 * soonOver)
		if after := a.join(lasting, "stood still"); after != before+3 {
			return fmt.Errorf("for the member itself, the number went from %d to %d", before+2, after)
		}
		return nil
	})
}

func busMemberLeaves(b remote.Bus) error {
	return present(b, func(a *attended) error {
		before := a.join(lasting, "lives")
		// On a busy machine, the calls may take longer than the lifetime. Then a longer one tells.
		for ttl, late := soonOver, true; late && a.err == nil; ttl *= 4 {
			began := time.Now()
			before = a.join(ttl, "leaves", "is renewed")
			a.join(lasting, "lives", "is renewed")
			a.leave("leaves", "was never there")
			if late = time.Since(began) >= ttl; late {
				continue
			}
			time.Sleep(2 * ttl)
		}
		a.stay("lives", "is renewed")
		a.join(lasting, "lives")
		if after := a.look(); after != before {
			return fmt.Errorf("the number was %d and is %d", before, after)
		}
		return nil
	})
}

func busMemberIsLost(b remote.Bus) error {
	return present(b, func(a *attended) error {
		before := a.join(lasting, "stays")
		a.leave("stays")
		if after := a.stay("stays"); after != before+1 {
			return fmt.Errorf("the number was %d and is %d", before, after)
		}
		if again := a.stay("stays"); again != before+1 {
			return fmt.Errorf("then the number went from %d to %d", before+1, again)
		}
		return nil
	})
}

func busMembersOfChannels(b remote.Bus) error {
	return present(b, func(a *attended) error {
		other := a.attend(lasting, remote.Attendance{Channel: "b", Joining: []string{"dies"}})
		before := a.join(soonOver, "dies")
		time.Sleep(2 * soonOver)
		if after := a.attend(lasting, remote.Attendance{Channel: "b"}); after != other {
			return fmt.Errorf("the number of another channel went from %d to %d", other, after)
		}
		if after := a.look(); after != before+1 {
			return fmt.Errorf("the number was %d and is %d", before, after)
		}
		return nil
	})
}

func busAttendCancelled(b remote.Bus) error {
	return present(b, func(a *attended) error {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := a.Attend(ended, lasting, remote.Attendance{Channel: "a"}); err == nil {
			return errors.New("Attend returned no error")
		}
		if err := a.Leave(ended, "a", "x"); err == nil {
			return errors.New("Leave returned no error")
		}
		return nil
	})
}
