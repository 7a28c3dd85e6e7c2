package level_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/observe"
	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
	"github.com/mgtv-tech/jetcache-go/stats"
)

var (
	ctx      = context.Background()
	errBoom  = errors.New("boom")
	errOther = errors.New("other")
	lifetime = level.Lifetime{Value: time.Hour, Placeholder: time.Minute}
)

// log records log lines and the failures that are counted.
type log struct {
	stats.Handler // is nil, as only failures of the remote are expected

	mu     sync.Mutex
	lines  []string // guarded by mu
	failed []string // guarded by mu: by operation
}

func (l *log) add(level, format string, v []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, level+" "+fmt.Sprintf(format, v...))
}

func (l *log) Debug(format string, v ...any) { l.add("debug", format, v) }
func (l *log) Info(format string, v ...any)  { l.add("info", format, v) }
func (l *log) Warn(format string, v ...any)  { l.add("warn", format, v) }
func (l *log) Error(format string, v ...any) { l.add("error", format, v) }

func (l *log) IncrRemoteError(op string, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, op)
}

// take returns the operations whose failures were counted, and the log, since the last take.
func (l *log) take() (failed string, lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed, lines = strings.Join(l.failed, " "), l.lines
	l.failed, l.lines = nil, nil
	return failed, lines
}

// newRemote returns the level over a store, and what it counts and logs.
func newRemote(store remote.Remote) (*level.Remote, *log) {
	l := &log{}
	return level.NewRemote(store, lifetime, observe.New("c", l, l)), l
}

// store is a Memory that records its calls. It has the methods of remote.Remote, and no others.
type store struct {
	memory *remotetest.Memory

	mu    sync.Mutex
	calls []string // guarded by mu
}

func newStore() *store { return &store{memory: remotetest.NewMemory()} }

func (s *store) called(format string, v ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, v...))
}

// take returns the calls since the last take, in order.
func (s *store) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.calls)
	calls := strings.Join(s.calls, ", ")
	s.calls = nil
	return calls
}

func (s *store) SetEX(ctx context.Context, key string, value any, expire time.Duration) error {
	s.called("SetEX %s=%s %s", key, value, expire)
	return s.memory.SetEX(ctx, key, value, expire)
}

func (s *store) SetNX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	s.called("SetNX %s=%s %s", key, value, expire)
	return s.memory.SetNX(ctx, key, value, expire)
}

func (s *store) SetXX(ctx context.Context, key string, value any, expire time.Duration) (bool, error) {
	s.called("SetXX %s=%s %s", key, value, expire)
	return s.memory.SetXX(ctx, key, value, expire)
}

func (s *store) Get(ctx context.Context, key string) (string, error) {
	s.called("Get %s", key)
	return s.memory.Get(ctx, key)
}

func (s *store) Del(ctx context.Context, key string) (int64, error) {
	s.called("Del %s", key)
	return s.memory.Del(ctx, key)
}

func (s *store) MGet(ctx context.Context, keys ...string) (map[string]any, error) {
	s.called("MGet %v", keys)
	return s.memory.MGet(ctx, keys...)
}

func (s *store) MSet(ctx context.Context, values map[string]any, expire time.Duration) error {
	s.called("MSet %v %s", slices.Sorted(maps.Keys(values)), expire)
	return s.memory.MSet(ctx, values, expire)
}

func (s *store) Nil() error { return s.memory.Nil() }

// ableStore is a store with the small optional abilities.
type ableStore struct{ *store }

func (s ableStore) GetWithTTL(ctx context.Context, key string) (remote.Value, error) {
	s.called("GetWithTTL %s", key)
	return s.memory.GetWithTTL(ctx, key)
}

func (s ableStore) MGetWithTTL(ctx context.Context, keys ...string) (map[string]remote.Value, error) {
	s.called("MGetWithTTL %v", keys)
	return s.memory.MGetWithTTL(ctx, keys...)
}

func (s ableStore) MSetItems(ctx context.Context, items ...remote.Item) error {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = fmt.Sprint(item.Key, " ", item.Expire)
	}
	s.called("MSetItems %v", keys)
	return s.memory.MSetItems(ctx, items...)
}

func (s ableStore) MDel(ctx context.Context, keys ...string) error {
	s.called("MDel %v", keys)
	return s.memory.MDel(ctx, keys...)
}

func (s ableStore) CompareAndDelete(ctx context.Context, key, value string) (bool, error) {
	s.called("CompareAndDelete %s=%s", key, value)
	return s.memory.CompareAndDelete(ctx, key, value)
}

// recordsOf returns records of keys.
func recordsOf(keys ...string) []*record.Record {
	recs := make([]*record.Record, len(keys))
	for i, key := range keys {
		recs[i] = &record.Record{Key: key}
	}
	return recs
}

// writesOf returns records of keys that store "v" for a second.
func writesOf(keys ...string) []*record.Record {
	recs := recordsOf(keys...)
	for _, rec := range recs {
		rec.Data, rec.Life.Remote = []byte("v"), time.Second
	}
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

// answers returns what the remote answered for records: "key=data", "key-" for absent keys.
func answers(recs []*record.Record) string {
	texts := make([]string, len(recs))
	for i, rec := range recs {
		if texts[i] = rec.Key + "-"; rec.Got.There {
			texts[i] = rec.Key + "=" + string(rec.Got.Data)
		}
		if rec.Got.Err != nil {
			texts[i] += fmt.Sprintf(" (%v)", rec.Got.Err)
		}
	}
	return strings.Join(texts, ", ")
}

// failing returns the error of a call that failed for some keys with errBoom.
func failing(keys ...string) error {
	failed := make(map[string]error)
	for _, key := range keys {
		failed[key] = errBoom
	}
	return &remote.KeysError{Op: "test", Failed: failed}
}
