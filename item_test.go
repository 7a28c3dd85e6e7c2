package cache

import (
	"testing"
	"time"
)

// Every item option.
func TestItemOptions(t *testing.T) {
	it := newItem([]ItemOption{Value(1), TTL(time.Second), SkipLocal(true), Refresh(true), SetNX(true), Do(nil), {}})
	if it.value != 1 || it.ttl != time.Second || !it.skipLocal || !it.refresh || it.condition != ifAbsent || it.do != nil {
		t.Errorf("got %+v", it)
	}
	for _, tt := range []struct {
		opts []ItemOption
		want condition
	}{
		{nil, always},
		{[]ItemOption{SetNX(true)}, ifAbsent},
		{[]ItemOption{SetXX(true)}, ifPresent},
		{[]ItemOption{SetXX(true), SetNX(true)}, ifPresent},
		{[]ItemOption{SetNX(true), SetXX(true)}, ifPresent},
		{[]ItemOption{SetNX(true), SetNX(false)}, always},
		{[]ItemOption{SetXX(true), SetXX(false), SetNX(true)}, ifAbsent},
	} {
		if got := newItem(tt.opts).condition; got != tt.want {
			t.Errorf("%v: %v, want %v", tt.opts, got, tt.want)
		}
	}
}
