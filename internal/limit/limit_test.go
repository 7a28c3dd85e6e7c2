package limit

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limiter{Interval: 10 * time.Second}
		expect := func(held int, ok bool) {
			t.Helper()
			if h, o := l.Allow(); h != held || o != ok {
				t.Errorf("after %s: %d, %v, want %d, %v", time.Since(time.Time{}), h, o, held, ok)
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
