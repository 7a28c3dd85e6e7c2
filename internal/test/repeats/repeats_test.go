package repeats

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
	"github.com/mgtv-tech/jetcache-go/remote"
)

const (
	key = "k"
	ttl = time.Minute
)

// changes are the calls that change a key. do is called more than once.
var changes = []struct {
	name string
	do   func(t *testing.T, n *node, value string)
}{
	{"Delete", func(t *testing.T, n *node, _ string) {
		succeed(t, n.DelFenced(t.Context(), ttl, key))
	}},
	{"Set", func(t *testing.T, n *node, value string) { n.set(t, value) }},
	{"Mutate", func(t *testing.T, n *node, _ string) {
		succeed(t, n.CloseFences(t.Context(), ttl, "token of "+t.Name(), key))
		succeed(t, n.ReopenFences(t.Context(), ttl, "token of "+t.Name(), key))
	}},
}

// A fence that is closed twice under one token, or whose closing comes late, refuses what it must.
func TestNoRepeatOpensAClosedFence(t *testing.T) {
	for _, first := range changes {
		t.Run(first.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s redistest.Server) {
				a, b, c := newNode(t, s), newNode(t, s), newNode(t, s)
				again := a.recording(func() { first.do(t, a, "a's") })
				nonce := c.open(t)
				succeed(t, b.CloseFences(t.Context(), ttl, "b", key))
				again(t)
				for _, n := range []string{nonce, c.open(t)} {
					if got := c.fill(t, n); got != remote.FenceChanged {
						t.Errorf("a load is stored under a closed fence, with the nonce %q: outcome %d", n, got)
					}
				}
			})
		})
	}
}

// A repeat of a call that nothing came after must not fail, or be taken for the call of another.
func TestRepeatsSucceed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s redistest.Server) {
		a := newNode(t, s)
		again := a.recording(func() { a.set(t, "a's") })
		again(t)
		if got, err := a.Get(t.Context(), key); err != nil || got != "a's" {
			t.Errorf("after a Set that was sent twice: %q, %v", got, err)
		}
		nonce := a.open(t)
		again(t)
		if got := a.fill(t, nonce); got != remote.FenceStored {
			t.Errorf("a load is refused although nothing has changed: outcome %d", got)
		}
	})
}

// node is an adapter, which can carry out commands once more.
type node struct {
	*remote.GoRedisV9Adapter
	client *redis.Client
	tape   *tape
}

func newNode(t *testing.T, s redistest.Server) *node {
	o := s.Client.Options()
	n := &node{client: redis.NewClient(&redis.Options{Addr: o.Addr, DB: o.DB}), tape: new(tape)}
	t.Cleanup(func() { _ = n.client.Close() })
	n.client.AddHook(n.tape)
	n.GoRedisV9Adapter = remote.NewGoRedisV9Adapter(n.client).(*remote.GoRedisV9Adapter)
	return n
}

// recording calls do, and returns a function that carries out the commands of do again.
func (n *node) recording(do func()) (again func(t *testing.T)) {
	n.tape.start()
	do()
	commands := n.tape.stop()
	return func(t *testing.T) {
		for _, args := range commands {
			_ = n.client.Do(t.Context(), args...).Err() // an error is right: the server may refuse a repeat
		}
	}
}

func (n *node) open(t *testing.T) string {
	t.Helper()
	nonces, err := n.OpenFences(t.Context(), ttl, key)
	succeed(t, err)
	return nonces[0]
}

// set stores value by a change.
func (n *node) set(t *testing.T, value string) {
	t.Helper()
	item := remote.Item{Key: key, Data: []byte(value), Expire: ttl}
	_, err := n.SetFenced(t.Context(), ttl, remote.FencedItem{Item: item, Renew: true})
	succeed(t, err)
}

// fill stores a loaded value.
func (n *node) fill(t *testing.T, nonce string) remote.FenceOutcome {
	t.Helper()
	item := remote.Item{Key: key, Data: []byte("loaded"), Expire: ttl}
	outcomes, err := n.SetFenced(t.Context(), ttl, remote.FencedItem{Item: item, Nonce: nonce})
	succeed(t, err)
	return outcomes[0]
}

func (n *node) evictFence(t *testing.T) {
	t.Helper()
	fence, ok := remote.FenceKey(key)
	if !ok {
		t.Fatalf("%q has no fence", key)
	}
	succeed(t, n.client.Del(t.Context(), fence).Err())
}

func succeed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tape records the commands that a client sends. Those that set up a connection are not sent through
// hooks.
type tape struct {
	mu       sync.Mutex
	on       bool    // guarded by mu
	commands [][]any // guarded by mu
}

func (p *tape) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = true
}

func (p *tape) stop() (commands [][]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	commands, p.on, p.commands = p.commands, false, nil
	return commands
}

func (p *tape) record(commands ...redis.Cmder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on {
		return
	}
	for _, c := range commands {
		p.commands = append(p.commands, slices.Clone(c.Args()))
	}
}

// DialHook changes nothing.
func (p *tape) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook records a command.
func (p *tape) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		p.record(command)
		return next(ctx, command)
	}
}

// ProcessPipelineHook records the commands of a pipeline.
func (p *tape) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		p.record(commands...)
		return next(ctx, commands)
	}
}
