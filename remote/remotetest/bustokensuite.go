package remotetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/suitetest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// busTokenChecks are checks of a Bus that is a remote.Sequencer, too. They pass for every other Bus, and
// for one that only embeds a Sequencer.
var busTokenChecks = []suitetest.Check[remote.Bus]{
	{Name: "each message has the next token, and Tokens returns the newest", Verify: busTokens},
	{Name: "messages of one call keep their order", Verify: busBulk},
	{Name: "PublishNext without messages leaves out a number", Verify: busLeavesOut},
	{Name: "concurrent messages arrive in the order of their tokens", Verify: busTokensConcurrent},
	{Name: "Sync returns when all earlier messages have been received", Verify: busSync},
	{Name: "channels can be added and removed", Verify: busAdds},
	{Name: "a cancelled context ends Tokens and PublishNext with an error", Verify: busTokensCancelled},
	{Name: "groups are comparable and stay the same", Verify: busGroups},
}

// follow is listen with the Subscription of Follow.
func follow(s remote.Sequencer, receive func(), channels ...string) (*listener, remote.Subscription, error) {
	subs := make(chan remote.Subscription, 1)
	l, err := listenBy(func(ctx context.Context, ready func(), receive func(string, []byte)) error {
		return s.Follow(ctx, channels, func(sub remote.Subscription) {
			subs <- sub
			ready()
		}, receive)
	}, receive)
	if err != nil {
		return nil, nil, err
	}
	return l, <-subs, nil
}

// sequenced calls check if b is a Sequencer, with a listener of channel "a".
func sequenced(b remote.Bus, receive func(), check func(s remote.Sequencer, l *listener, sub remote.Subscription) error) error {
	s := remote.AsSequencer(b)
	if s == nil {
		return nil
	}
	l, sub, err := follow(s, receive, "a")
	if err != nil {
		return err
	}
	return errors.Join(check(s, l, sub), l.close())
}

// parseToken returns the parts of a token.
func parseToken(text string) (number uint64, nonce string, err error) {
	digits, nonce, _ := strings.Cut(text, ".")
	number, err = strconv.ParseUint(digits, 10, 64)
	if err != nil || number >= 1e14 || nonce == "" {
		return 0, "", fmt.Errorf("%q is no token", text)
	}
	return number, nonce, nil
}

// numbers returns the numbers of the tokens of messages, which all must have the nonce of the
// newest token of "a".
func numbers(s remote.Sequencer, heard []string) (all []uint64, newest uint64, err error) {
	tokens, err := s.Tokens(ctx, "a")
	if err != nil || len(tokens) != 1 {
		return nil, 0, fmt.Errorf("Tokens: %q, %w", tokens, err)
	}
	newest, want, err := parseToken(tokens[0])
	if err != nil {
		return nil, 0, err
	}
	for _, m := range heard {
		var message struct{ Token string }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(m, "a:")), &message); err != nil {
			return nil, 0, fmt.Errorf("the message %q: %w", m, err)
		}
		number, nonce, err := parseToken(message.Token)
		if err != nil || nonce != want {
			return nil, 0, fmt.Errorf("the message %q has not the nonce of %q: %w", m, tokens[0], err)
		}
		all = append(all, number)
	}
	return all, newest, nil
}

func busTokens(b remote.Bus) error {
	return sequenced(b, nil, func(s remote.Sequencer, l *listener, _ remote.Subscription) error {
		_, before, err := numbers(s, nil)
		if err != nil {
			return err
		}
		for _, m := range []string{`{"A":1}`, `{"A":"2"}`, `{"A":[]}`} {
			if err := s.PublishNext(ctx, "a", []byte(m)); err != nil {
				return fmt.Errorf("PublishNext: %w", err)
			}
		}
		heard, err := l.wait(3)
		if err != nil {
			return err
		}
		all, newest, err := numbers(s, heard)
		if err != nil || !slices.Equal(all, []uint64{before + 1, before + 2, before + 3}) || newest != before+3 {
			return fmt.Errorf("after number %d: %q, newest %d, %w", before, heard, newest, err)
		}
		if !strings.HasPrefix(heard[1], `a:{"A":"2","Token":"`) || !strings.HasSuffix(heard[1], `"}`) {
			return fmt.Errorf("the message is %q", heard[1])
		}
		tokens, err := s.Tokens(ctx, "other", "a")
		if err != nil || len(tokens) != 2 || tokens[0] == tokens[1] {
			return fmt.Errorf("the tokens of two channels: %q, %w", tokens, err)
		}
		return nil
	})
}

func busBulk(b remote.Bus) error {
	return sequenced(b, nil, func(s remote.Sequencer, l *listener, _ remote.Subscription) error {
		var messages [][]byte
		for i := range 20 {
			messages = append(messages, fmt.Appendf(nil, `{"A":%d}`, i))
		}
		if err := s.PublishNext(ctx, "a", messages...); err != nil {
			return fmt.Errorf("PublishNext: %w", err)
		}
		heard, err := l.wait(20)
		if err != nil {
			return err
		}
		for i, m := range heard {
			if !strings.HasPrefix(m, fmt.Sprintf(`a:{"A":%d,`, i)) {
				return fmt.Errorf("message %d is %q", i, m)
			}
		}
		return inOrder(s, heard)
	})
}

// inOrder verifies that the tokens of messages are consecutive.
func inOrder(s remote.Sequencer, heard []string) error {
	all, _, err := numbers(s, heard)
	for i := 1; i < len(all); i++ {
		if all[i] != all[i-1]+1 {
			return fmt.Errorf("the numbers are %d", all)
		}
	}
	return err
}

func busLeavesOut(b remote.Bus) error {
	return sequenced(b, nil, func(s remote.Sequencer, l *listener, sub remote.Subscription) error {
		_, before, err := numbers(s, nil)
		if err := errors.Join(err, s.PublishNext(ctx, "a"), sub.Sync(ctx)); err != nil {
			return err
		}
		heard := l.all()
		if _, after, err := numbers(s, nil); err != nil || after != before+1 || len(heard) > 0 {
			return fmt.Errorf("the number was %d and is %d, and %q was received, %w", before, after, heard, err)
		}
		return nil
	})
}

func busTokensConcurrent(b remote.Bus) error {
	return sequenced(b, nil, func(s remote.Sequencer, l *listener, _ remote.Subscription) error {
		const publishers, each = 4, 25
		errs := make(chan error, publishers)
		for range publishers {
			go func() {
				var err error
				for range each {
					err = errors.Join(err, s.PublishNext(ctx, "a", []byte(`{"A":1}`)))
				}
				errs <- err
			}()
		}
		for range publishers {
			if err := <-errs; err != nil {
				return fmt.Errorf("PublishNext: %w", err)
			}
		}
		heard, err := l.wait(publishers * each)
		if err != nil {
			return err
		}
		return inOrder(s, heard)
	})
}

func busSync(b remote.Bus) error {
	const n = 50
	slow := func() { time.Sleep(time.Millisecond) }
	return sequenced(b, slow, func(s remote.Sequencer, l *listener, sub remote.Subscription) error {
		for range n {
			if err := s.PublishNext(ctx, "a", []byte(`{"A":1}`)); err != nil {
				return fmt.Errorf("PublishNext: %w", err)
			}
		}
		bounded, cancel := context.WithTimeout(ctx, busPatience)
		defer cancel()
		if err := sub.Sync(bounded); err != nil {
			return fmt.Errorf("Sync: %w", err)
		}
		if heard := l.all(); len(heard) != n {
			return fmt.Errorf("%d messages were received when Sync returned, want %d", len(heard), n)
		}
		ended, end := context.WithCancel(ctx)
		end()
		if err := sub.Sync(ended); err == nil {
			return errors.New("Sync returned no error although its context has ended")
		}
		if err := sub.Sync(bounded); err != nil {
			return fmt.Errorf("Sync after one that was given up: %w", err)
		}
		return nil
	})
}

func busAdds(b remote.Bus) error {
	s := remote.AsSequencer(b)
	if s == nil {
		return nil
	}
	// The channels have one hash tag, so they are of one group on a cluster, too.
	l, sub, err := follow(s, nil, "{a}1")
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	if err := errors.Join(sub.Add(bounded, "{a}2"), publish(b, "{a}2", "1"), sub.Remove(bounded, "{a}1"), sub.Sync(bounded),
		publish(b, "{a}1", "2"), publish(b, "{a}2", "3"), sub.Add(bounded, "{a}1"), publish(b, "{a}1", "4"), sub.Sync(bounded)); err != nil {
		return err
	}
	again := errors.Join(sub.Add(bounded, "{a}1"), sub.Remove(bounded, "{a}2"), sub.Remove(bounded, "{a}2"), sub.Sync(bounded),
		publish(b, "{a}1", "5"), publish(b, "{a}2", "6"), sub.Sync(bounded))
	if again != nil {
		return fmt.Errorf("adding and removing a channel twice: %w", again)
	}
	heard, err := l.wait(4)
	if err != nil || !slices.Equal(heard, []string{"{a}2:1", "{a}2:3", "{a}1:4", "{a}1:5"}) {
		return fmt.Errorf("it received %q, %w", heard, err)
	}
	if err := l.close(); err != nil {
		return err
	}
	if err := sub.Sync(bounded); err == nil {
		return errors.New("Sync returned no error although the subscription has ended")
	}
	return nil
}

func busTokensCancelled(b remote.Bus) error {
	s := remote.AsSequencer(b)
	if s == nil {
		return nil
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Tokens(ended, "a"); err == nil {
		return errors.New("Tokens returned no error")
	}
	if err := s.PublishNext(ended, "a", []byte(`{"A":1}`)); err == nil {
		return errors.New("PublishNext returned no error")
	}
	return nil
}

func busGroups(b remote.Bus) error {
	s := remote.AsSequencer(b)
	if s == nil {
		return nil
	}
	seen := map[any]bool{s.Group("{a}1"): true} // it panics if the group is not comparable
	if !seen[s.Group("{a}1")] || !seen[s.Group("{a}2")] {
		return errors.New("channels with one hash tag are of different groups")
	}
	return nil
}
