package cache_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/logger"
)

// What the fixtures record: counts, events and log lines.

// recStats records counts by their short names: h, m, lh, lm, rh, rm, q, qf.
type recStats struct {
	mu     sync.Mutex
	counts map[string]int // guarded by mu
}

func (r *recStats) add(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[name]++
}

func (r *recStats) IncrHit()                      { r.add("h") }
func (r *recStats) IncrMiss()                     { r.add("m") }
func (r *recStats) IncrLocalHit()                 { r.add("lh") }
func (r *recStats) IncrLocalMiss()                { r.add("lm") }
func (r *recStats) IncrRemoteHit()                { r.add("rh") }
func (r *recStats) IncrRemoteMiss()               { r.add("rm") }
func (r *recStats) IncrQuery()                    { r.add("q") }
func (r *recStats) IncrQueryFail(error)           { r.add("qf") }
func (r *recStats) IncrRemoteError(string, error) { r.add("remoteError") }
func (r *recStats) IncrValueTooLarge()            { r.add("tooLarge") }

// tooLarge returns how many values were too large since the last take.
func (r *recStats) tooLarge() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts["tooLarge"]
}

// take returns the counts since the last call, in the order h m lh lm rh rm q qf. "h*2" is two hits, "h" is
// one. Failed remote calls are not included.
func (r *recStats) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, name := range []string{"h", "m", "lh", "lm", "rh", "rm", "q", "qf"} {
		switch n := r.counts[name]; n {
		case 0:
		case 1:
			parts = append(parts, name)
		default:
			parts = append(parts, fmt.Sprint(name, "*", n))
		}
	}
	errs := r.counts["remoteError"]
	r.counts = map[string]int{"remoteError": errs}
	return strings.Join(parts, " ")
}

func (r *recStats) remoteErrors() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts["remoteError"]
}

// recEvents records events.
type recEvents struct {
	mu     sync.Mutex
	events []*cache.Event // guarded by mu
}

func (r *recEvents) handle(e *cache.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// take returns the events since the last call as "type:keys". It runs in a bubble and waits until the
// handler has all of them.
func (r *recEvents) take() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, e := range r.events {
		parts = append(parts, fmt.Sprintf("%d:%s", e.EventType, strings.Join(e.Keys, ",")))
	}
	r.events = nil
	return strings.Join(parts, " ")
}

// recLog records the log of one test.
type recLog struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (r *recLog) add(level, format string, v []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, level+" "+fmt.Sprintf(format, v...))
}

func (r *recLog) Debug(format string, v ...any) { r.add("debug", format, v) }
func (r *recLog) Info(format string, v ...any)  { r.add("info", format, v) }
func (r *recLog) Warn(format string, v ...any)  { r.add("warn", format, v) }
func (r *recLog) Error(format string, v ...any) { r.add("error", format, v) }

// matching returns the lines that contain text.
func (r *recLog) matching(text string) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.Contains(l, text) {
			found = append(found, l)
		}
	}
	return found
}

// reset forgets the lines.
func (r *recLog) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = nil
}

func captureLog(t testing.TB) *recLog {
	r := &recLog{}
	logger.SetDefaultLogger(r)
	t.Cleanup(func() { logger.SetDefaultLogger(discard{}) })
	return r
}

// discard keeps expected warnings out of the tests' output.
type discard struct{}

func (discard) Debug(string, ...any) {}
func (discard) Info(string, ...any)  {}
func (discard) Warn(string, ...any)  {}
func (discard) Error(string, ...any) {}
