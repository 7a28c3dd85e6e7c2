package load

import (
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

func TestHowAValueAtHandIsUsed(t *testing.T) {
	value := record.Outcome{Kind: record.Value}
	for name, test := range map[string]struct {
		stale Stale
		hand  AtHand
		want  Use
	}{
		"fresh":                              {Stale{}, AtHand{Out: value, Left: 1}, Answer},
		"at its end":                         {Stale{}, AtHand{Out: value}, Unused},
		"at its end, on error":               {Stale{OnError: time.Second}, AtHand{Out: value}, Fallback},
		"at its end, while it is loaded":     {Stale{While: time.Second}, AtHand{Out: value}, AnswerAndLoad},
		"at the limit":                       {Stale{OnError: time.Second}, AtHand{Out: value, Left: -time.Second}, Fallback},
		"beyond the limit":                   {Stale{OnError: time.Second}, AtHand{Out: value, Left: -time.Second - 1}, Unused},
		"in doubt and fresh":                 {Stale{}, AtHand{Out: value, Left: 1, Doubted: true}, Fallback},
		"in doubt and stale":                 {Stale{OnError: time.Second}, AtHand{Out: value, Left: -1, Doubted: true}, Fallback},
		"in doubt and stale, nobody asks":    {Stale{}, AtHand{Out: value, Left: -1, Doubted: true}, Unused},
		"in doubt and stale, while it loads": {Stale{While: time.Second}, AtHand{Out: value, Left: -1, Doubted: true}, Unused},
	} {
		p := &Path{Failures: &Failures{Pause: time.Second}}
		if got := p.UseOf(&Request{Stale: test.stale}, "k", &test.hand); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
