package limit

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOneLinePassesInEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limiter{Interval: 10 * time.Second}
		start := time.Now()
		expect := func(suppressed int, ok bool) {
			t.Helper()
			if n, o := l.Allow(); n != suppressed || o != ok {
				t.Errorf("after %s: %d, %v, want %d, %v", time.Since(start), n, o, suppressed, ok)
			}
		}
		expect(0, true)
		expect(0, false)
		time.Sleep(9 * time.Second)
		expect(0, false)
		time.Sleep(time.Second)
		expect(2, true)
		expect(0, false)
		time.Sleep(time.Minute)
		expect(1, true)
	})
}

func TestZeroValueSuppressesNothing(t *testing.T) {
	var l Limiter
	for range 3 {
		if suffix, ok := l.Line(); suffix != "" || !ok {
			t.Errorf("got %q, %v", suffix, ok)
		}
	}
}

func TestLineEndsInTheNumberOfSuppressedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limiter{Interval: time.Second}
		for _, tt := range []struct {
			suppressed int
			want       string
		}{
			{0, ""},
			{0, ""}, // again: a count of zero is never printed
			{1, " (1 line like this was suppressed before it)"},
			{12, " (12 lines like this were suppressed before it)"},
		} {
			for range tt.suppressed {
				if suffix, ok := l.Line(); suffix != "" || ok {
					t.Errorf("within the interval: %q, %v", suffix, ok)
				}
			}
			time.Sleep(time.Second)
			if suffix, ok := l.Line(); suffix != tt.want || !ok {
				t.Errorf("after %d suppressed lines: %q, %v, want %q", tt.suppressed, suffix, ok, tt.want)
			}
		}
	})
}

func TestSuffixOfNothingIsEmpty(t *testing.T) {
	for _, n := range []int{0, -1} {
		if got := Suffix(n); got != "" {
			t.Errorf("Suffix(%d) = %q", n, got)
		}
	}
}

func TestConcurrentLinesAreAllCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limiter{Interval: time.Second}
		var wg sync.WaitGroup
		var passed atomic.Int64
		for range 8 {
			wg.Go(func() {
				for range 100 {
					if _, ok := l.Line(); ok {
						passed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		if suppressed, ok := l.Allow(); passed.Load() != 1 || suppressed != 799 || !ok {
			t.Errorf("of 800 lines %d passed and %d were suppressed", passed.Load(), suppressed)
		}
	})
}
