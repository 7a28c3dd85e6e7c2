package remote

import (
	"context"
	"fmt"
	"maps"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// The kinds of subscription, in the words of the server's confirmations.
const (
	kindPlain     = "subscribe"
	kindSharded   = "ssubscribe"
	kindPing      = "ping"
	unkindPlain   = "unsubscribe"
	unkindSharded = "sunsubscribe"
)

// confirmation is the server's confirmation of a subscription to a channel, or of its end. An
// unexpected one means that the PubSub has subscribed again on another connection, or that the
// server has ended the subscription.
type confirmation struct{ kind, channel string }

// subscribe connects if necessary, and subscribes to channels and to sharded channels. It returns a
// channel that is closed when no confirmation is missing any more. The server confirms each call,
// also for a channel that is subscribed already.
func (l *listener) subscribe(ctx context.Context, pubsub *redis.PubSub, channels, sharded []string) (settled <-chan struct{}, err error) {
	l.mu.Lock()
	if l.settled == nil {
		l.settled, l.waiting = make(chan struct{}), make(map[confirmation]int)
	}
	for _, channel := range channels {
		l.waiting[confirmation{kindPlain, channel}]++
	}
	for _, channel := range sharded {
		l.waiting[confirmation{kindSharded, channel}]++
	}
	settled = l.settled
	l.mu.Unlock()
	if len(channels) > 0 {
		if err := pubsub.Subscribe(ctx, channels...); err != nil {
			return nil, err
		}
	}
	if len(sharded) > 0 {
		return settled, pubsub.SSubscribe(ctx, sharded...)
	}
	return settled, nil
}

// unsubscribe ends the subscription to channels, and to sharded channels.
func (l *listener) unsubscribe(ctx context.Context, pubsub *redis.PubSub, channels, sharded []string) error {
	l.mu.Lock()
	if l.leaving == nil {
		l.leaving = make(map[confirmation]int)
	}
	for _, channel := range channels {
		l.leaving[confirmation{unkindPlain, channel}]++
	}
	for _, channel := range sharded {
		l.leaving[confirmation{unkindSharded, channel}]++
	}
	l.mu.Unlock()
	if err := pubsub.Unsubscribe(ctx, channels...); err != nil {
		return err
	}
	if len(sharded) > 0 {
		return pubsub.SUnsubscribe(ctx, sharded...)
	}
	return nil
}

// subscribing reports whether confirmations have not arrived yet.
func (l *listener) subscribing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting) > 0
}

// confirm handles a confirmation.
func (l *listener) confirm(c confirmation) error {
	l.mu.Lock()
	expected, ended := l.waiting[c] > 0, l.leaving[c] > 0
	if ended {
		l.leaving[c]--
	}
	l.mu.Unlock()
	switch {
	case expected:
		l.settle(func() {
			if l.waiting[c]--; l.waiting[c] == 0 {
				delete(l.waiting, c)
			}
		})
	case ended:
	case c.kind == kindPlain, c.kind == kindSharded:
		return errReconnected
	default:
		return fmt.Errorf("%w: %s", errEndedByHost, quote.Key(c.channel))
	}
	return nil
}

// refuse records that the server does not have a kind of subscription.
func (l *listener) refuse(kind string) {
	l.mu.Lock()
	if l.refused == nil {
		l.refused = make(map[string]bool)
	}
	l.refused[kind] = true
	l.mu.Unlock()
	l.settle(func() { maps.DeleteFunc(l.waiting, func(c confirmation, _ int) bool { return c.kind == kind }) })
}

// unsharded reports whether the server does not have SSUBSCRIBE.
func (l *listener) unsharded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused[kindSharded]
}

// settle calls arrived, which removes confirmations from those that are waited for.
func (l *listener) settle(arrived func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	arrived()
	if len(l.waiting) == 0 && l.settled != nil {
		close(l.settled)
		l.settled = nil
	}
}
