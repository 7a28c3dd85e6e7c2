package cache

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/stats"
)

// Every option: its default, and what it makes of bad values.
func TestOptionDefaultsAndRules(t *testing.T) {
	errOwn := errors.New("own")
	handler := stats.NewHandles(true)
	tests := []struct {
		name string
		opts []Option
		get  func(o Options) any
		want any
	}{
		{"name", nil, func(o Options) any { return o.name }, "default"},
		{"name set", []Option{WithName("n")}, func(o Options) any { return o.name }, "n"},
		{"remote", nil, func(o Options) any { return o.remote == nil }, true},
		{"local", nil, func(o Options) any { return o.local == nil }, true},
		{"codec", nil, func(o Options) any { return o.codec }, "msgpack"},
		{"codec set", []Option{WithCodec("json")}, func(o Options) any { return o.codec }, "json"},
		{"not-found error", nil, func(o Options) any { return o.errNotFound }, ErrNotFound},
		{"not-found error nil", []Option{WithErrNotFound(nil)}, func(o Options) any { return o.errNotFound }, ErrNotFound},
		{"not-found error set", []Option{WithErrNotFound(errOwn)}, func(o Options) any { return o.errNotFound }, errOwn},
		{"remote expiry", nil, func(o Options) any { return o.remoteExpiry }, time.Hour},
		{"remote expiry zero", []Option{WithRemoteExpiry(0)}, func(o Options) any { return o.remoteExpiry }, time.Hour},
		{"remote expiry negative", []Option{WithRemoteExpiry(-1)}, func(o Options) any { return o.remoteExpiry }, time.Hour},
		{"remote expiry set", []Option{WithRemoteExpiry(300 * time.Millisecond)}, func(o Options) any { return o.remoteExpiry }, 300 * time.Millisecond},
		{"not-found expiry", nil, func(o Options) any { return o.notFoundExpiry }, time.Minute},
		{"not-found expiry negative", []Option{WithNotFoundExpiry(-1)}, func(o Options) any { return o.notFoundExpiry }, time.Minute},
		{"not-found expiry set", []Option{WithNotFoundExpiry(time.Second)}, func(o Options) any { return o.notFoundExpiry }, time.Second},
		{"offset", nil, func(o Options) any { return o.offset }, 6 * time.Second},
		{"offset follows the not-found expiry", []Option{WithNotFoundExpiry(time.Second)}, func(o Options) any { return o.offset }, 100 * time.Millisecond},
		{"offset is at most 10s", []Option{WithNotFoundExpiry(time.Hour)}, func(o Options) any { return o.offset }, 10 * time.Second},
		{"offset set", []Option{WithOffset(time.Minute)}, func(o Options) any { return o.offset }, time.Minute},
		{"refresh", nil, func(o Options) any { return o.refreshDuration }, time.Duration(0)},
		{"refresh below a second", []Option{WithRefreshDuration(1)}, func(o Options) any { return o.refreshDuration }, time.Second},
		{"refresh negative", []Option{WithRefreshDuration(-time.Hour)}, func(o Options) any { return o.refreshDuration }, time.Duration(0)},
		{"refresh set", []Option{WithRefreshDuration(time.Minute)}, func(o Options) any { return o.refreshDuration }, time.Minute},
		{"stop refresh", []Option{WithRefreshDuration(time.Minute)}, func(o Options) any { return o.stopRefreshAfterLastAccess }, 61 * time.Second},
		{"stop refresh negative", []Option{WithRefreshDuration(time.Minute), WithStopRefreshAfterLastAccess(-1)}, func(o Options) any { return o.stopRefreshAfterLastAccess }, 61 * time.Second},
		{"stop refresh set", []Option{WithStopRefreshAfterLastAccess(time.Hour), WithRefreshDuration(time.Minute)}, func(o Options) any { return o.stopRefreshAfterLastAccess }, time.Hour},
		{"refresh concurrency", nil, func(o Options) any { return o.refreshConcurrency }, 4},
		{"refresh concurrency zero", []Option{WithRefreshConcurrency(0)}, func(o Options) any { return o.refreshConcurrency }, 4},
		{"refresh concurrency set", []Option{WithRefreshConcurrency(9)}, func(o Options) any { return o.refreshConcurrency }, 9},
		{"offset zero", []Option{WithOffset(0)}, func(o Options) any { return o.offset }, 6 * time.Second},
		{"offset negative", []Option{WithOffset(-time.Second)}, func(o Options) any { return o.offset }, 6 * time.Second},
		{"not-found expiry zero", []Option{WithNotFoundExpiry(0)}, func(o Options) any { return o.notFoundExpiry }, time.Minute},
		{"stop refresh zero", []Option{WithRefreshDuration(time.Minute), WithStopRefreshAfterLastAccess(0)}, func(o Options) any { return o.stopRefreshAfterLastAccess }, 61 * time.Second},
		{"refresh concurrency negative", []Option{WithRefreshConcurrency(-1)}, func(o Options) any { return o.refreshConcurrency }, 4},
		{"name empty", []Option{WithName("")}, func(o Options) any { return o.name }, "default"},
		{"codec empty", []Option{WithCodec("")}, func(o Options) any { return o.codec }, "msgpack"},
		{"source id empty", []Option{WithSourceId("")}, func(o Options) any { return len(o.sourceID) }, 16},
		{"refresh timeout", []Option{WithRefreshDuration(time.Second)}, func(o Options) any { return o.refreshTimeout }, 30 * time.Second},
		{"refresh timeout follows the interval", []Option{WithRefreshDuration(time.Minute)}, func(o Options) any { return o.refreshTimeout }, time.Minute},
		{"refresh timeout set", []Option{WithRefreshTimeout(time.Second), WithRefreshDuration(time.Minute)}, func(o Options) any { return o.refreshTimeout }, time.Second},
		{"max refresh tasks", nil, func(o Options) any { return o.maxRefreshTasks }, 10_000},
		{"max refresh tasks negative", []Option{WithMaxRefreshTasks(-1)}, func(o Options) any { return o.maxRefreshTasks }, 10_000},
		{"max refresh tasks set", []Option{WithMaxRefreshTasks(5)}, func(o Options) any { return o.maxRefreshTasks }, 5},
		{"stats handler set", []Option{WithStatsHandler(handler)}, func(o Options) any { return o.statsGiven }, true},
		{"stats disabled", []Option{WithStatsDisabled(true)}, func(o Options) any { return o.statsDisabled }, true},
		{"source id", nil, func(o Options) any { return regexp.MustCompile("^[0-9a-f]{16}$").MatchString(o.sourceID) }, true},
		{"source id set", []Option{WithSourceId("me")}, func(o Options) any { return o.sourceID }, "me"},
		{"sync local", nil, func(o Options) any { return o.syncLocal }, false},
		{"event buffer", nil, func(o Options) any { return o.eventBuffer }, 100},
		{"event buffer zero", []Option{WithEventChBufSize(0)}, func(o Options) any { return o.eventBuffer }, 100},
		{"event buffer set", []Option{WithEventChBufSize(3)}, func(o Options) any { return o.eventBuffer }, 3},
		{"event handler", nil, func(o Options) any { return o.eventHandler == nil }, true},
		{"separator", nil, func(o Options) any { return o.separator }, ":"},
		{"separator set", []Option{WithSeparator("/")}, func(o Options) any { return o.separator }, "/"},
		{"separator empty", []Option{WithSeparator("")}, func(o Options) any { return o.separator }, ""},
		{"separator disabled first", []Option{WithSeparatorDisabled(true), WithSeparator("/")}, func(o Options) any { return o.separator }, ""},
		{"separator disabled last", []Option{WithSeparator("/"), WithSeparatorDisabled(true)}, func(o Options) any { return o.separator }, ""},
		{"separator enabled again", []Option{WithSeparatorDisabled(true), WithSeparatorDisabled(false)}, func(o Options) any { return o.separator }, ":"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.get(resolveOptions(tt.opts)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if one, two := resolveOptions(nil), resolveOptions(nil); one.sourceID == two.sourceID {
		t.Error("two caches have the same source id")
	}
}

func TestStatsHandlerDecidesAlone(t *testing.T) {
	s := stats.NewStatsLogger("own").(*stats.Stats)
	defer s.Close()
	c := New(WithStatsHandler(s), WithStatsDisabled(true)).(*jetCache)
	defer c.Close()
	if h := c.statistics(); h != stats.Handler(s) {
		t.Errorf("the handler is %v", h)
	}
}

func TestWrongConfigurationPanicsWithASentence(t *testing.T) {
	for want, opts := range map[string][]Option{
		"WithStatsHandler was given nil":   {WithStatsHandler(nil)},
		"WithEventChBufSize was given -1;": {WithEventChBufSize(-1)},
		"option 2 is nil":                  {WithName("x"), nil},
		`WithCodec("yaml")`:                {WithCodec("yaml")},
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				if r, _ := recover().(string); !strings.HasPrefix(r, "cache: New: ") || !strings.Contains(r, want) {
					t.Errorf("panicked with %q", r)
				}
			}()
			New(opts...)
		})
	}
}
