package gate

import (
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCloseWaitsForThoseInside(t *testing.T) {
	for range 50 {
		var (
			g    Gate
			wg   sync.WaitGroup
			used = new(int) // nil after Close, which nobody inside may see
		)
		begun := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					p, ok := g.Enter()
					if !ok {
						return
					}
					if n == 0 {
						begun <- struct{}{}
					}
					if used == nil {
						t.Error("inside after Close returned")
					}
					g.Leave(p)
				}
			})
		}
		<-begun
		if !g.Close() {
			t.Error("the first Close was not told so")
		}
		used = nil
		if g.Close() {
			t.Error("the second Close was told it was the first")
		}
		wg.Wait()
	}
}

func BenchmarkEnterLeave(b *testing.B) {
	var g Gate
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, _ := g.Enter()
			g.Leave(p)
		}
	})
}
