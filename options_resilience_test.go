package cache

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// optionsOf is what New makes of opts, without what differs by chance.
func optionsOf(opts ...Option) Options {
	o := resolveOptions(append([]Option{WithSourceId("s")}, opts...))
	o.resilient = false
	return o
}

// documented returns the options that the comment of WithResilience lists.
func documented(t *testing.T) (opts []Option) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "options_remote.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	durations := map[string]func(time.Duration) Option{
		"WithRemoteTimeout": WithRemoteTimeout, "WithStaleOnError": WithStaleOnError,
		"WithSoftTimeout": WithSoftTimeout, "WithLoadTimeout": WithLoadTimeout,
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "WithResilience" {
			continue
		}
		for _, item := range regexp.MustCompile(`(?m)^ +- (\w+)\(([^)]*)\):`).FindAllStringSubmatch(f.Doc.Text(), -1) {
			if item[0] == "  - WithRemoteBreaker(Breaker{}):" {
				opts = append(opts, WithRemoteBreaker(Breaker{}))
				continue
			}
			d, err := time.ParseDuration(item[2])
			if err != nil || durations[item[1]] == nil {
				t.Fatalf("%q: %v", item[0], err)
			}
			opts = append(opts, durations[item[1]](d))
		}
	}
	return opts
}

func TestWithResilienceIsWhatItsCommentSays(t *testing.T) {
	list := documented(t)
	if len(list) != len(resilience()) || len(list) == 0 {
		t.Errorf("the comment lists %d options, and there are %d", len(list), len(resilience()))
	}
	if got, want := optionsOf(WithResilience()), optionsOf(list...); !reflect.DeepEqual(got, want) { //nolint:govet // the errors in it are nil, or the same
		t.Errorf("it is\n%+v\nand the comment says\n%+v", got, want)
	}
}

func TestAnOptionBesideWithResilienceWins(t *testing.T) {
	for name, opt := range map[string]Option{
		"timeout":         WithRemoteTimeout(time.Second),
		"no timeout":      WithRemoteTimeout(0),
		"breaker":         WithRemoteBreaker(Breaker{MinCalls: 7, OpenFor: time.Minute}),
		"stale":           WithStaleOnError(time.Hour),
		"no stale":        WithStaleOnError(0),
		"soft":            WithSoftTimeout(time.Second),
		"load":            WithLoadTimeout(-1),
		"another":         WithLoadConcurrency(3),
		"shared":          WithSharedValues[string](),
		"errors":          WithErrNotFound(context.Canceled, context.DeadlineExceeded),
		"policy":          WithRemoteDown(FailFast),
		"without a local": WithName("n"),
	} {
		t.Run(name, func(t *testing.T) {
			want := optionsOf(append(resilience(), opt)...)
			for _, order := range [][]Option{{WithResilience(), opt}, {opt, WithResilience()}, {WithResilience(), opt, WithResilience()}} {
				if got := optionsOf(order...); !reflect.DeepEqual(got, want) { //nolint:govet // the errors in it are nil, or the same
					t.Errorf("it is\n%+v, want\n%+v", got, want)
				}
			}
		})
	}
}

// Redis is a black hole, the callers have 200ms, and the database takes 20ms.
func TestWithResilienceAnswersWhileRedisIsABlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		store := local.NewOtter(10_000, time.Hour)
		defer store.Close()
		c := New(WithLocal(store), WithRemote(m), WithStatsDisabled(true), WithResilience())
		defer c.Close()
		rows := NewT[int, string](c)
		load := func(ctx context.Context, ids []int) (map[int]string, error) {
			time.Sleep(20 * time.Millisecond)
			found := map[int]string{}
			for _, id := range ids {
				found[id] = fmt.Sprint("row ", id)
			}
			return found, ctx.Err()
		}
		// read makes a call of each kind, and returns how long they took.
		read := func(id int) (took []time.Duration) {
			for _, call := range []func(ctx context.Context) (string, error){
				func(ctx context.Context) (string, error) {
					return rows.Get(ctx, "get", id, func(ctx context.Context, id int) (string, error) {
						found, err := load(ctx, []int{id})
						return found[id], err
					})
				},
				func(ctx context.Context) (string, error) {
					found, _ := rows.MGetWithErr(ctx, "mget", []int{id, -id}, load) // the error tells of Redis
					return found[id], nil
				},
				func(ctx context.Context) (s string, err error) {
					err = c.Once(ctx, fmt.Sprint("once:", id), Value(&s), Do(func(ctx context.Context) (any, error) {
						found, err := load(ctx, []int{id})
						return found[id], err
					}))
					return s, err
				},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				began := time.Now()
				s, err := call(ctx)
				cancel()
				took = append(took, time.Since(began))
				if want := fmt.Sprint("row ", id); s != want || err != nil {
					t.Errorf("call %d: %q, %v", len(took), s, err)
				}
			}
			return took
		}
		m.SetFault(func(ctx context.Context, _ string, _ ...string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if took := read(1); slices.Max(took) != 120*time.Millisecond {
			t.Errorf("before the trip: %s", took)
		}
		for i := range 20 {
			read(10 + i)
		}
		if !c.(*jetCache).remote.Down() {
			t.Fatal("the breaker is not open")
		}
		if took := read(2); slices.Max(took) != 20*time.Millisecond || slices.Min(took) != 20*time.Millisecond {
			t.Errorf("after the trip: %s", took)
		}
		m.SetFault(nil)
		time.Sleep(6 * time.Second)
		if took := read(3); slices.Max(took) != 20*time.Millisecond {
			t.Errorf("after the end: %s", took)
		}
		if _, ok := m.Peek("get:3"); !ok {
			t.Error("it is not stored when Redis answers again")
		}
	})
}
