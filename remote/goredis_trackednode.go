package remote

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// trackedNode is the connection to one server, with tracking on.
type trackedNode struct {
	listener
	options  *redis.Options
	addr     string
	prefixes []string
	changed  func(keys []string)
	runID    atomic.Value // string: the id of the server's process; empty if the server does not tell it
}

// run tracks until ctx or the connection ends.
func (n *trackedNode) run(ctx context.Context) error {
	processor := redis.NewPushNotificationProcessor()
	if err := processor.RegisterHandler("invalidate", n, false); err != nil {
		return err
	}
	n.options.PushNotificationProcessor = processor
	n.options.Protocol = 3
	users := n.options.OnConnect
	n.options.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if users != nil {
			if err := users(ctx, conn); err != nil {
				return err
			}
		}
		return n.begin(ctx, conn)
	}
	n.channels = []string{trackingChannel}
	n.spare = func(err error) (kind string) {
		if noPermission(err) {
			return kindPlain // tracking works without it
		}
		return ""
	}
	return n.listener.run(ctx, n.options)
}

// begin switches tracking on for conn.
func (n *trackedNode) begin(ctx context.Context, conn *redis.Conn) error {
	// If the server refuses RESP3, go-redis goes on with RESP2. Then Redis would accept CLIENT
	// TRACKING, but could not report anything.
	hello := redis.NewCmd(ctx, "hello", 3)
	_ = conn.Process(ctx, hello)
	if isReply(hello.Err()) {
		return untrackable("RESP3 (Redis 6 and later, HELLO)", hello.Err())
	} else if hello.Err() != nil {
		return hello.Err()
	}
	if about, ok := hello.Val().(map[any]any); !ok || about["proto"] != int64(3) {
		return fmt.Errorf("%w: the server does not speak RESP3 (Redis 6 and later); %s", ErrUnsupported, insteadOfTracking)
	}
	info, err := conn.Info(ctx, "server").Result()
	if err != nil && !isReply(err) {
		return err
	}
	n.runID.Store(runID(info))
	args := []any{"client", "tracking", "on", "bcast"}
	for _, prefix := range n.prefixes {
		args = append(args, "prefix", prefix)
	}
	on := redis.NewCmd(ctx, args...)
	_ = conn.Process(ctx, on)
	if isReply(on.Err()) {
		return untrackable("CLIENT TRACKING (+client|tracking +subscribe +ping)", on.Err())
	}
	return on.Err()
}

// untrackable returns the error for a server that has refused what tracking needs. It wraps
// ErrUnsupported, unless the refusal is for a time only, as LOADING and BUSY are.
func untrackable(what string, err error) error {
	switch {
	case noPermission(err):
		return fmt.Errorf("%w: the server's ACL does not allow %s; grant that to the user, or %s: %w", ErrUnsupported, what, insteadOfTracking, err)
	case strings.HasPrefix(err.Error(), "ERR "), strings.HasPrefix(err.Error(), "NOPROTO "):
		return fmt.Errorf("%w: the server refuses %s; %s: %w", ErrUnsupported, what, insteadOfTracking, err)
	}
	return err
}

// runID returns the id of a server's process, from its INFO.
func runID(info string) string {
	_, rest, _ := strings.Cut(info, "\nrun_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

// HandlePushNotification handles the server's messages about changed keys: "invalidate" and the
// keys, or null for all keys. go-redis calls it in the goroutine that reads the connection. A
// message that it does not understand ends the tracking: go-redis would only log a returned error.
func (n *trackedNode) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, notification []any) error {
	if len(notification) == 2 && notification[1] == nil {
		n.changed(nil)
		return nil
	}
	var names []any
	ok := len(notification) == 2
	if ok {
		names, ok = notification[1].([]any)
	}
	keys := make([]string, len(names))
	for i, name := range names {
		var text bool
		keys[i], text = name.(string)
		ok = ok && text
	}
	if !ok {
		n.end(fmt.Errorf("the server's message about changed keys was not understood: %.200q", fmt.Sprint(notification...)))
		return nil
	}
	if len(keys) > 0 {
		n.changed(keys)
	}
	return nil
}
