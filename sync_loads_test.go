package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// A long load has read an old value, and the message about the change is lost. The node notices a broken
// link after a bounded time. A caller that comes after that time does not join the load.
func TestAfterAGapNobodyJoinsALoadFromBefore(t *testing.T) {
	const long = time.Minute
	reads := map[string]func(n *node, load func(context.Context, string) (string, error)) (string, error){
		"Once": func(n *node, load func(context.Context, string) (string, error)) (string, error) {
			return onceString(n, "t:k", cache.Do(func(ctx context.Context) (any, error) { return load(ctx, "k") }))
		},
		"MGet": func(n *node, load func(context.Context, string) (string, error)) (string, error) {
			m, err := cache.NewT[string, string](n.Cache).MGetWithErr(ctx, "t", []string{"k"}, func(ctx context.Context, ids []string) (map[string]string, error) {
				v, err := load(ctx, ids[0])
				return map[string]string{ids[0]: v}, err
			})
			return m["k"], err
		},
	}
	for name, breakBus := range breaks {
		for how, read := range reads {
			// The load begins before the link breaks, or while it is broken. The second caller comes
			// while it is broken, or later.
			for when, within := range map[string][2]bool{"before, during": {false, true}, "before, after": {false, false}, "during, during": {true, true}, "during, after": {true, false}} {
				if name == "one lost message" && (within[0] || within[1]) {
					continue // nothing is broken for long
				}
				t.Run(name+" "+how+" "+when, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						nodes, bus := fleetOf(t, 2)
						writer, reader := nodes[0], nodes[1]
						database := "old"
						load := func(takes time.Duration) func(context.Context, string) (string, error) {
							return func(context.Context, string) (string, error) {
								v := database
								time.Sleep(takes)
								return v, nil
							}
						}
						mend := func() {}
						if within[0] {
							mend = breakBus(bus)
							pass(blind)
						}
						go func() { _, _ = read(reader, load(long)) }()
						synctest.Wait()
						if !within[0] {
							mend = breakBus(bus)
						}
						database = "new"
						_ = writer.Delete(ctx, "t:k") // the other node does not hear of it
						pass(blind)
						if !within[1] {
							mend()
							pass(blind)
						}
						began := time.Now()
						if s, err := read(reader, load(0)); s != "new" || err != nil {
							t.Errorf("after %s, it reads %q, %v", time.Since(began), s, err)
						}
						mend()
						time.Sleep(long) // the load ends
					})
				})
			}
		}
	}
}

// One load serves all callers, also for a heartbeat after the link has broken.
func TestLoadsAreSharedAlsoWhileTheLinkIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := fleetOf(t, 1)
		loads := 0
		load := cache.Do(func(context.Context) (any, error) {
			loads++
			time.Sleep(heartbeat / 2)
			return "v", nil
		})
		bus.Fail(errBoom)
		synctest.Wait()
		done := make(chan struct{})
		for range 10 {
			go func() {
				_, _ = onceString(nodes[0], "k", load)
				done <- struct{}{}
			}()
			time.Sleep(heartbeat / 100)
		}
		for range 10 {
			<-done
		}
		if loads != 1 {
			t.Errorf("%d loads", loads)
		}
	})
}
