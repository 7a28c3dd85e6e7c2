package stats

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recHandler records the names of the calls it gets.
type recHandler struct {
	mu    sync.Mutex
	calls []string // guarded by mu
}

func (r *recHandler) add(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (r *recHandler) IncrHit()                { r.add("hit") }
func (r *recHandler) IncrMiss()               { r.add("miss") }
func (r *recHandler) IncrLocalHit()           { r.add("localHit") }
func (r *recHandler) IncrLocalMiss()          { r.add("localMiss") }
func (r *recHandler) IncrRemoteHit()          { r.add("remoteHit") }
func (r *recHandler) IncrRemoteMiss()         { r.add("remoteMiss") }
func (r *recHandler) IncrQuery()              { r.add("query") }
func (r *recHandler) IncrQueryFail(err error) { r.add("queryFail " + err.Error()) }

// recErrorHandler has the optional abilities, too.
type recErrorHandler struct{ recHandler }

func (r *recErrorHandler) IncrRemoteError(op string, err error) {
	r.add("remoteError " + op + " " + err.Error())
}

func (r *recErrorHandler) IncrRefreshTimeout()     { r.add("refreshTimeout") }
func (r *recErrorHandler) IncrRefreshEvicted()     { r.add("refreshEvicted") }
func (r *recErrorHandler) IncrEventKeysLost(n int) { r.add(fmt.Sprint("eventKeysLost ", n)) }
func (r *recErrorHandler) IncrFillRefused(n int)   { r.add(fmt.Sprint("fillRefused ", n)) }
func (r *recErrorHandler) IncrSyncGap()            { r.add("syncGap") }
func (r *recErrorHandler) IncrValueTooLarge()      { r.add("valueTooLarge") }

func callAll(h Handler) {
	h.IncrHit()
	h.IncrMiss()
	h.IncrLocalHit()
	h.IncrLocalMiss()
	h.IncrRemoteHit()
	h.IncrRemoteMiss()
	h.IncrQuery()
	h.IncrQueryFail(errors.New("boom"))
	if c, ok := h.(RemoteErrorCounter); ok {
		c.IncrRemoteError("get", errors.New("refused"))
	}
}

func callOptional(h Handler) {
	h.(RefreshCounter).IncrRefreshTimeout()
	h.(RefreshCounter).IncrRefreshEvicted()
	h.(EventCounter).IncrEventKeysLost(2)
	h.(FenceCounter).IncrFillRefused(4)
	h.(SyncCounter).IncrSyncGap()
	h.(SizeCounter).IncrValueTooLarge()
}

const eight = "hit miss localHit localMiss remoteHit remoteMiss query queryFail boom"

func TestNewHandlesPassesEachCallToAll(t *testing.T) {
	a, b := &recHandler{}, &recErrorHandler{}
	h := NewHandles(false, a, b)
	callAll(h)
	callOptional(h)
	if got := strings.Join(a.calls, " "); got != eight {
		t.Errorf("the first handler got %q, want %q", got, eight)
	}
	if got, want := strings.Join(b.calls, " "), eight+" remoteError get refused refreshTimeout refreshEvicted eventKeysLost 2 fillRefused 4 syncGap valueTooLarge"; got != want {
		t.Errorf("the second handler got %q, want %q", got, want)
	}
}

func TestNewHandlesDisabled(t *testing.T) {
	a := &recHandler{}
	callAll(NewHandles(true, a))
	if len(a.calls) != 0 {
		t.Errorf("a disabled handler got %v", a.calls)
	}
}

func TestNewHandlesNilPanics(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "handler is nil") {
			t.Errorf("NewHandles with a nil handler panicked with %v, want a sentence", r)
		}
	}()
	NewHandles(false, &recHandler{}, nil)
}

func TestNewHandlesReturnsHandlers(t *testing.T) {
	one := &recHandler{}
	for name, h := range map[string]Handler{
		"disabled": NewHandles(true, one), "none": NewHandles(false), "one": NewHandles(false, one), "two": NewHandles(false, one, one),
	} {
		if _, ok := h.(*Handlers); !ok {
			t.Errorf("%s: got a %T", name, h)
		}
	}
	callAll(&Handlers{}) // its zero value counts nothing
}

func TestNewHandlesDoesNotKeepTheSlice(t *testing.T) {
	a, b := &recHandler{}, &recHandler{}
	list := []Handler{a}
	h := NewHandles(false, list...)
	list[0] = b
	h.IncrHit()
	if len(a.calls) != 1 || len(b.calls) != 0 {
		t.Errorf("the given handler got %v, and the one put in its place %v", a.calls, b.calls)
	}
}

func TestHandlersHitLocallyIsTwoCallsInOne(t *testing.T) {
	a := &recHandler{}
	s := NewStatsLogger("s").(*Stats)
	defer s.Close()
	NewHandles(false, a, NewHandles(false, s)).(*Handlers).HitLocally()
	if got := strings.Join(a.calls, " "); got != "hit localHit" {
		t.Errorf("the first handler got %q", got)
	}
	if got := s.load(); got != (counts{hit: 1, localHit: 1}) {
		t.Errorf("the Stats counted %+v", got)
	}
}

func TestEnabled(t *testing.T) {
	s := NewStatsLogger("s").(*Stats)
	defer s.Close()
	off := NewHandles(true, s)
	for name, tt := range map[string]struct {
		h    Handler
		want bool
	}{
		"nil":                  {nil, false},
		"disabled":             {off, false},
		"none":                 {NewHandles(false), false},
		"disabled in handlers": {NewHandles(false, off, NewHandles(false)), false},
		"a Stats":              {s, true},
		"one":                  {NewHandles(false, s), true},
		"two":                  {NewHandles(false, s, &recHandler{}), true},
		"one and a disabled":   {NewHandles(false, off, s), true},
		"of others":            {&recHandler{}, true},
	} {
		if got := Enabled(tt.h); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
