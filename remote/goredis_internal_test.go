package remote

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A value that was read between two lifetimes gets the shorter one, whenever a write came.
func TestTheLifetimeOfAValueReadBetweenTwo(t *testing.T) {
	const never = time.Duration(pttlNoExpiry)
	tests := map[string]struct{ before, after, want time.Duration }{
		"nothing was written":      {time.Minute, time.Minute - time.Millisecond, time.Minute - time.Millisecond},
		"by a shorter one, before": {time.Hour, time.Second, time.Second},
		"by a longer one, after":   {time.Second, time.Hour, time.Second},
		"by one without end":       {time.Second, never, time.Second},
		"of one without end":       {never, time.Second, time.Second},
		"neither ends":             {never, never, 0},
		"it was absent before":     {pttlAbsent, time.Hour, time.Millisecond},
		"it was removed after":     {time.Hour, pttlAbsent, time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			before, get, after := pttl(ctx, "k"), redis.NewStringCmd(ctx, "get", "k"), pttl(ctx, "k")
			before.SetVal(tt.before)
			get.SetVal("v")
			after.SetVal(tt.after)
			if v, err := between(before, get, after); err != nil || v.Data != "v" || v.TTL != tt.want {
				t.Errorf("got %v, %v, want a lifetime of %s", v, err, tt.want)
			}
			boom := errors.New("boom")
			after.SetErr(boom)
			if _, err := between(before, get, after); !errors.Is(err, boom) {
				t.Errorf("an error of a command is lost: %v", err)
			}
		})
	}
}
