package fence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
	"github.com/mgtv-tech/jetcache-go/stats"
)

const (
	maxLoad = 10 * time.Second
	// unfit is a key that cannot have a fence.
	unfit = "a}b"
)

var (
	ctx     = context.Background()
	errBoom = errors.New("boom")
)

// notes records what a Policy logs and counts.
type notes struct {
	stats.Handler // is nil, as nothing reads

	mu      sync.Mutex
	lines   []string // guarded by mu
	refused int      // guarded by mu
}

func (n *notes) add(level, format string, v []any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, level+" "+fmt.Sprintf(format, v...))
}

func (n *notes) Debug(format string, v ...any) { n.add("debug", format, v) }
func (n *notes) Info(format string, v ...any)  { n.add("info", format, v) }
func (n *notes) Warn(format string, v ...any)  { n.add("warn", format, v) }
func (n *notes) Error(format string, v ...any) { n.add("error", format, v) }

func (n *notes) IncrFillRefused(count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused += count
}

// counted returns how many fills were counted as refused.
func (n *notes) counted() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refused
}

// newOn returns a Policy with fences over a store.
func newOn(t testing.TB, store remote.Remote) (*fence.On, *notes) {
	n := &notes{}
	o := observe.New("c", n, n)
	return fence.New(level.NewRemote(store, level.Lifetime{}, o), maxLoad, o), n
}

// recordsOf returns records of keys.
func recordsOf(keys ...string) []*record.Record {
	recs := make([]*record.Record, len(keys))
	for i, key := range keys {
		recs[i] = &record.Record{Key: key}
	}
	return recs
}

// writesOf returns records that store a value of each key for an hour.
func writesOf(value string, keys ...string) []*record.Record {
	recs := recordsOf(keys...)
	for _, rec := range recs {
		rec.Data, rec.Life.Remote = []byte(value), time.Hour
	}
	return recs
}

// begun returns records of a load that has begun, which found a value of each key.
func begun(f fence.Policy, value string, keys ...string) []*record.Record {
	recs := writesOf(value, keys...)
	f.Begin(ctx, recs)
	return recs
}

// results returns what became of records: "key result error", one after another.
func results(recs []*record.Record) string {
	names := map[record.Result]string{record.Failed: "failed", record.Stored: "stored", record.Refused: "refused", record.NotDue: "not due"}
	texts := make([]string, len(recs))
	for i, rec := range recs {
		texts[i] = rec.Key + " " + names[rec.Stored]
		if rec.StoreErr != nil {
			texts[i] += fmt.Sprintf(" (%v)", rec.StoreErr)
		}
	}
	return strings.Join(texts, ", ")
}

// inRemote returns what m has of keys, "-" for nothing.
func inRemote(m *remotetest.Memory, keys ...string) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = "-"
		if data, ok := m.Peek(key); ok {
			texts[i] = data
		}
	}
	return strings.Join(texts, " ")
}

// broken is a Fault of calls of ops; of all calls if there are none.
func broken(ops ...string) remotetest.Fault {
	return func(_ context.Context, op string, _ ...string) error {
		if len(ops) == 0 || slices.Contains(ops, op) {
			return errBoom
		}
		return nil
	}
}
