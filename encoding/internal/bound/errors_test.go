package bound

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTrimLeavesShortErrorsAlone(t *testing.T) {
	if err := Trim(nil); err != nil {
		t.Errorf("nil became %v", err)
	}
	_, parse := time.Parse(time.RFC3339, "yesterday")
	for _, err := range []error{errors.New("short"), errors.New(strings.Repeat("x", MaxErrorText)), parse} {
		if got := Trim(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

type ownError struct{ text string }

func (e *ownError) Error() string { return e.text }

func TestTrimShortensTheText(t *testing.T) {
	for _, n := range []int{MaxErrorText + 1, MaxErrorText + 2, MaxErrorText + 3, 5000, 1 << 20} {
		for _, filler := range []string{"x", "é", "日", "😀", "\xff"} {
			text := ("begins " + strings.Repeat(filler, n))[:n] + filler + " ends"
			inner := &ownError{text}
			err := Trim(fmt.Errorf("wrapped: %w", inner))
			got := err.Error()
			if len(got) > MaxErrorText || !strings.HasPrefix(got, "wrapped: begins ") || !strings.HasSuffix(got, " ends") {
				t.Errorf("%d bytes of %q became %d: %.40q, %.40q", n, filler, len(got), got, got[len(got)-40:])
			}
			if utf8.ValidString(text) && !utf8.ValidString(got) {
				t.Errorf("%d bytes of %q: a character was cut", n, filler)
			}
			if !strings.Contains(got, fmt.Sprint(len("wrapped: ")+len(text))) {
				t.Errorf("%d bytes of %q: the text does not say how long it was: %s", n, filler, got)
			}
			var own *ownError
			if !errors.Is(err, inner) || !errors.As(err, &own) {
				t.Errorf("the wrapped error cannot be found")
			}
		}
	}
}

// Errors of the standard library hold the whole text that they could not parse. To ask them
// for theirs would take many times as much.
func TestTrimDoesNotQuoteLongValues(t *testing.T) {
	long := strings.Repeat("\x01", 8<<20)
	_, ofTime := time.Parse(time.RFC3339, long)
	_, ofNumber := strconv.Atoi(long)
	_, ofAddr := netip.ParseAddr(long)
	for _, err := range []error{ofTime, ofNumber, ofAddr} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		trimmed := Trim(err)
		text := trimmed.Error()
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 || len(text) > MaxErrorText {
			t.Errorf("%T: a text of %d bytes took %d", err, len(text), took)
		}
		if !errors.Is(trimmed, err) {
			t.Errorf("%T cannot be found", err)
		}
	}
	if text := Trim(ofTime).Error(); !strings.Contains(text, "*time.ParseError") || !strings.Contains(text, fmt.Sprint(len(long))) {
		t.Errorf("the text does not say what is wrong: %s", text)
	}
	var parse *time.ParseError
	if !errors.As(Trim(ofTime), &parse) || len(parse.Value) != len(long) {
		t.Error("a *time.ParseError cannot be found")
	}
}
