package link

import (
	"errors"
	"testing"
)

// The subscription of an attempt becomes ready when the attempt has failed, or after the end.
func TestAStatusThatBecomesReadyTooLate(t *testing.T) {
	calls := ""
	var s status
	s.begin(func() { calls += "down " }, func() { calls += "up " })
	s.lost(1, errors.New("gone"))
	s.becameReady(1)
	if s.Ready() || calls != "down " {
		t.Errorf("after a failed attempt: ready is %v, the calls are %q", s.Ready(), calls)
	}
	s.becameReady(2)
	s.lost(2, errors.New("gone"))
	s.becameReady(2)
	s.becameReady(3)
	s.close()
	s.becameReady(4)
	if s.Ready() || calls != "down up down up down " {
		t.Errorf("in the end: ready is %v, the calls are %q", s.Ready(), calls)
	}
}
