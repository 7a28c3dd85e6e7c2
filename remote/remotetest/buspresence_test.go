package remotetest

import (
	"context"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// brokenPresence is a Presence with one fault, which one of the flags names.
type brokenPresence struct {
	*Bus
	stale, immortal, stuck, forgiving, shared, eager bool
}

func (b *brokenPresence) Attend(ctx context.Context, ttl time.Duration, attendances ...remote.Attendance) ([]string, error) {
	if b.eager {
		ctx = context.Background()
	}
	if b.immortal {
		ttl = time.Hour
	}
	for i, a := range attendances {
		if b.forgiving {
			attendances[i].Joining, attendances[i].Staying = append(a.Joining, a.Staying...), nil
		}
		if b.shared {
			attendances[i].Channel = "all"
		}
	}
	tokens, err := b.Bus.Attend(ctx, ttl, attendances...)
	if b.stale && len(tokens) > 0 {
		tokens = tokens[1:]
	}
	return tokens, err
}

func (b *brokenPresence) SequencerOf() remote.Sequencer { return b }

func (b *brokenPresence) Leave(ctx context.Context, channel string, members ...string) error {
	if b.eager || b.stuck {
		return nil
	}
	return b.Bus.Leave(ctx, channel, members...)
}

func TestTheSuiteOfBusesNoticesFaultsOfPresence(t *testing.T) {
	for name, b := range map[string]*brokenPresence{
		"Attend returns the tokens of its channels":                 {stale: true},
		"a member that is not renewed leaves out one number":        {immortal: true},
		"a member that is renewed, or leaves, leaves out no number": {stuck: true},
		"a staying member that is missing leaves out one number":    {forgiving: true},
		"members belong to their channel":                           {shared: true},
		"a cancelled context ends Attend and Leave with an error":   {eager: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.Bus = NewBus()
			if err := suitetest.Verify[remote.Bus](busPresenceChecks, name, b); err == nil {
				t.Error("the suite does not notice the fault")
			}
		})
	}
}
