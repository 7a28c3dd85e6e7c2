package cache

import (
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Every item option.
func TestItemOptions(t *testing.T) {
	it := newItem([]ItemOption{Value(1), TTL(time.Second), SkipLocal(true), Refresh(true), SetNX(true), Do(nil), {}})
	if it.value != 1 || it.ttl != time.Second || !it.skipLocal || !it.refresh || it.condition != record.IfAbsent || it.do != nil {
		t.Errorf("got %+v", it)
	}
	for _, tt := range []struct {
		opts []ItemOption
		want record.Condition
	}{
		{nil, record.Always},
		{[]ItemOption{SetNX(true)}, record.IfAbsent},
		{[]ItemOption{SetXX(true)}, record.IfPresent},
		{[]ItemOption{SetXX(true), SetNX(true)}, record.IfPresent},
		{[]ItemOption{SetNX(true), SetXX(true)}, record.IfPresent},
		{[]ItemOption{SetNX(true), SetNX(false)}, record.Always},
		{[]ItemOption{SetXX(true), SetXX(false), SetNX(true)}, record.IfAbsent},
	} {
		if got := newItem(tt.opts).condition; got != tt.want {
			t.Errorf("%v: %v, want %v", tt.opts, got, tt.want)
		}
	}
}
