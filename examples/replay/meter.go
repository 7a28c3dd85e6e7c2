package main

import (
	"math"
	"sync/atomic"
	"time"
)

// meter is a histogram of durations with buckets that grow by an eighth of a power of two,
// so that a percentile is right to within ten per cent.
type meter struct {
	buckets [512]atomic.Int64
	total   atomic.Int64
}

const perDoubling = 8

func (m *meter) add(d time.Duration) {
	i := 0
	if d > 0 {
		i = min(int(math.Log2(float64(d))*perDoubling), len(m.buckets)-1)
	}
	m.buckets[i].Add(1)
	m.total.Add(1)
}

// percentile returns the duration that p of a hundred do not exceed.
func (m *meter) percentile(p float64) time.Duration {
	rank := int64(math.Ceil(p / 100 * float64(m.total.Load())))
	for i := range m.buckets {
		if rank -= m.buckets[i].Load(); rank <= 0 {
			return time.Duration(math.Exp2(float64(i+1) / perDoubling))
		}
	}
	return 0
}
