package repeats

import (
	"fmt"
	"testing"

	"github.com/mgtv-tech/jetcache-go/internal/test/redistest"
)

// After a Set was acknowledged, others change the key, and then the Set is carried out again. Its
// value must not come back.
func TestNoRepeatedSetReplacesWhatIsNewer(t *testing.T) {
	for _, second := range changes {
		for _, times := range []int{1, 20} {
			t.Run(fmt.Sprint(second.name, " ", times), func(t *testing.T) {
				redistest.Each(t, func(t *testing.T, s redistest.Server) {
					a, b := newNode(t, s), newNode(t, s)
					again := a.recording(func() { a.set(t, "a's") })
					for range times {
						second.do(t, b, "b's")
					}
					again(t)
					if got, err := b.Get(t.Context(), key); err == nil && got != "b's" {
						t.Errorf("after %d changes, the value of the Set is back: %q", times, got)
					}
				})
			})
		}
	}
}
