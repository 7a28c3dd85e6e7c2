package flight

import (
	"fmt"
	"testing"
	"time"
)

func TestWaitIsForTheLoadsThatHaveBegun(t *testing.T) {
	bubble(t, func(t *testing.T, table *Table[string]) {
		stop := time.Now().Add(time.Minute)
		for i := range 3 { // loads follow each other without a gap
			go func() {
				for time.Now().Before(stop) {
					_, _, _ = table.Do(bg, fmt.Sprint(i), slow(time.Duration(i+1)*time.Second, "v", nil))
				}
			}()
		}
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		if !table.Wait(10*time.Second) || time.Since(start) != 2500*time.Millisecond {
			t.Errorf("waited for %s", time.Since(start))
		}
		time.Sleep(2 * time.Minute)
		if !table.Wait(0) {
			t.Error("nothing runs, and Wait says otherwise")
		}
	})
}
