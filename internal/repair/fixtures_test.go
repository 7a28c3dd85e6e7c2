package repair_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/fence"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/internal/repair"
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
	ctx      = context.Background()
	errBoom  = errors.New("boom")
	errOther = errors.New("other")
)

// notes records what a Policy logs, counts and tells.
type notes struct {
	stats.Handler // is nil, as nothing reads

	mu       sync.Mutex
	lines    []string // guarded by mu
	refused  int      // guarded by mu
	repaired []string // guarded by mu
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

func (n *notes) tell(keys []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.repaired = append(n.repaired, keys...)
}

// told returns the keys that were removed in the background, sorted.
func (n *notes) told() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(n.repaired)), " ")
}

// errors returns the lines at level Error.
func (n *notes) errors() (found []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.lines {
		if strings.HasPrefix(l, "error ") {
			found = append(found, l)
		}
	}
	return found
}

// newOn returns a Policy with fences over a store. It is stopped at the end of the test.
func newOn(t testing.TB, store remote.Remote) (*repair.Policy, *notes) {
	n := &notes{}
	o := observe.New("c", n, n)
	r := level.NewRemote(store, level.Lifetime{}, o)
	f := repair.New(fence.New(r, maxLoad, o), r, o, n.tell)
	t.Cleanup(func() { f.Stop(0) })
	return f, n
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

// pass lets d pass in a bubble, and waits for all that is due by then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
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

// trusted reports whether a Policy trusts the remote for key, and why it does not.
func trusted(f fence.Policy, key string) (bool, error) {
	recs := recordsOf(key)
	return len(f.Trusted(recs)) == 1, recs[0].Got.Err
}
