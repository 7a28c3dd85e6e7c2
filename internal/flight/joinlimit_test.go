package flight

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// loadsOfTwoReads reads "k" twice, the second time after d, and returns the number of loads.
func loadsOfTwoReads(table *Table[string], d time.Duration, between func()) int32 {
	var runs atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() { _, _, _ = table.Do(bg, "k", slow(time.Hour, "old", &runs)) })
	time.Sleep(d)
	between()
	wg.Go(func() {
		batch := table.Claim(bg, []string{"k"})
		defer batch.Leave()
		if len(batch.Owned) > 0 {
			batch.Start(func(context.Context) {
				runs.Add(1)
				batch.Resolve(0, "new", nil)
			})
			_, _ = batch.Wait(bg)
			return
		}
		_, _ = batch.WaitJoined(bg, 0)
	})
	wg.Wait()
	return runs.Load()
}

func TestLoadsBeyondTheJoinLimitAreNotJoined(t *testing.T) {
	for name, tt := range map[string]struct {
		before  func(table *Table[string])
		between func(table *Table[string])
		want    int32
	}{
		"nothing happens":        {nil, nil, 1},
		"Part since":             {nil, func(table *Table[string]) { table.Part(0) }, 2},
		"Part before":            {func(table *Table[string]) { table.Part(0) }, nil, 1},
		"younger than the limit": {func(table *Table[string]) { table.Part(time.Second) }, nil, 1},
		"older than the limit":   {func(table *Table[string]) { table.Part(time.Second - 1) }, nil, 2},
		"the limit comes later":  {nil, func(table *Table[string]) { table.Part(time.Minute) }, 2},
		"the limit has ended":    {func(table *Table[string]) { table.Part(time.Millisecond); table.Part(0) }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := NewTable[string]()
				if tt.before != nil {
					tt.before(table)
				}
				got := loadsOfTwoReads(table, time.Second, func() {
					if tt.between != nil {
						tt.between(table)
					}
				})
				if got != tt.want {
					t.Errorf("%d loads, want %d", got, tt.want)
				}
				if n := table.Len(); n != 0 {
					t.Errorf("%d entries are left", n)
				}
			})
		})
	}
}
