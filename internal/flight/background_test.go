package flight

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestLoadsInTheBackgroundSayThatTheStoresHaveTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable[string]()
		end := make(chan struct{})
		load := func(context.Context, Note[string]) (string, error) { <-end; return "v", nil }
		for key, start := range map[string]func(ctx context.Context, key string, load func(context.Context, Note[string]) (string, error)) bool{
			"foreground": table.Start, "background": table.StartInBackground,
		} {
			if !start(context.Background(), key, load) || start(context.Background(), key, load) {
				t.Errorf("%s: it was not started once", key)
			}
			if got := table.InBackground(key); got != (key == "background") {
				t.Errorf("%s: in the background: %v", key, got)
			}
		}
		for key, claim := range map[string]func(context.Context, []string) *Batch[string]{"claim": table.Claim, "claim in background": table.ClaimInBackground} {
			b := claim(context.Background(), []string{key})
			b.Detach()
			b.Start(func(context.Context) { <-end; b.Resolve(0, "v", nil) })
			b.Leave()
			joined := table.Claim(context.Background(), []string{key})
			if in := key != "claim"; table.InBackground(key) != in || (len(joined.Background) == 1) != in {
				t.Errorf("%s: in the background: %v, %v", key, table.InBackground(key), joined.Background)
			}
			joined.Leave()
		}
		close(end)
		synctest.Wait()
	})
}
