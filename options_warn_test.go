package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
)

// What a cache warns of, and where it logs.

func TestWhatHasNoEffectIsWarnedOfOnce(t *testing.T) {
	load := returns("v", nil)
	for want, use := range map[string]func(){
		"neither WithLocal nor WithRemote": func() { cache.New(cache.WithStatsDisabled(true)).Close() },
		"WithSyncLocal(true) has no effect without WithRemote": func() {
			cache.New(cache.WithStatsDisabled(true), cache.WithLocal(stores["Otter"](t)), cache.WithSyncLocal(true)).Close()
		},
		"WithRefreshDuration, which sets the interval, was not given": func() {
			n := both(t)
			for range 3 {
				_, _ = onceString(n, "k", load, cache.Refresh(true))
			}
		},
		`"sql: no rows in result set", which is taken for a failure`: func() {
			n := both(t)
			for range 3 {
				_, _ = onceString(n, "k", returns(nil, fmt.Errorf("find user: %w", errNoRows)))
				_, _ = cache.NewT[int, user](n.Cache).Get(ctx, "u", 1, func(context.Context, int) (user, error) { return user{}, errNoRows })
			}
		},
		"unexported fields are not stored: secret": func() {
			n := both(t)
			for range 3 {
				_ = n.Set(ctx, "k", cache.Value(struct {
					ID     int
					secret string
				}{1, "s"}))
			}
		},
	} {
		log := captureLog(t)
		use()
		if got := log.matching(want); len(got) != 1 || !strings.HasPrefix(got[0], "warn") {
			t.Errorf("%q was logged as %q", want, log.lines)
		}
	}
}

// errNoRows has the text of sql.ErrNoRows.
var errNoRows = errors.New("sql: no rows in result set")

func TestSeveralErrorsMayMeanNotFound(t *testing.T) {
	log := captureLog(t)
	n := both(t, cache.WithErrNotFound(errNoRows, nil, errBoom))
	for key, err := range map[string]error{"a": errNoRows, "b": fmt.Errorf("find: %w", errBoom)} {
		for range 2 {
			if _, got := onceString(n, key, returns(nil, err)); got != errNoRows {
				t.Errorf("%s: got %v", key, got)
			}
		}
		n.expectStored(t, key, "*", "*")
	}
	if len(log.lines) != 0 {
		t.Errorf("logged %q", log.lines)
	}
}

func TestACacheLogsToItsOwnLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := captureLog(t)
		var out bytes.Buffer
		l := slog.New(slog.NewTextHandler(&out, nil))
		n := &node{local: stores["Otter"](t)}
		c := cache.New(cache.WithLocal(n.local), cache.WithName("own"), cache.WithLogger(l), cache.WithSyncLocal(true))
		defer c.Close()
		_ = c.Get(ctx, "k", nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for _, want := range []string{"level=WARN", "cache own: WithSyncLocal(true) has no effect", "jetcache-go stats last 1m"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the logger has no %q: %s", want, out.String())
			}
		}
		if len(log.lines) != 0 {
			t.Errorf("the package logger got %q", log.lines)
		}
	})
}
