package record_test

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
)

func TestKeysHaveTheOrderOfTheRecords(t *testing.T) {
	recs := []*record.Record{{Key: "b"}, {Key: "a"}, {Key: "c"}}
	if got := record.Keys(recs); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("the keys are %q", got)
	}
	if got := record.Keys(nil); len(got) != 0 {
		t.Errorf("no records have the keys %q", got)
	}
}

func TestBoundIsWhatRemainsOfTheLifetimeInTheRemote(t *testing.T) {
	tests := map[string]struct{ ttl, passed, want time.Duration }{
		"at once":                {time.Second, 0, time.Second},
		"later":                  {time.Second, 400 * time.Millisecond, 600 * time.Millisecond},
		"one nanosecond is left": {time.Second, time.Second - 1, 1},
		"at the end":             {time.Second, time.Second, record.Expired},
		"after the end":          {time.Second, time.Hour, record.Expired},
		"no expiry":              {0, time.Hour, record.NoBound},
		"no expiry, as -1":       {-1, time.Hour, record.NoBound},
		"the longest lifetime":   {math.MaxInt64, time.Second, math.MaxInt64 - time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := record.Got{TTL: test.ttl, Asked: time.Now()}
				time.Sleep(test.passed)
				if bound := got.Bound(); bound != test.want {
					t.Errorf("the bound is %s, want %s", bound, test.want)
				}
			})
		})
	}
}

func TestSinceShortensTheLocalLifetimeByTheTimeOfTheCall(t *testing.T) {
	const second, minute = time.Second, time.Minute
	tests := map[string]struct {
		life   record.Lifetimes
		passed time.Duration
		want   record.Lifetimes
	}{
		"at once":           {record.Lifetimes{Remote: minute, Local: minute}, 0, record.Lifetimes{Remote: minute, Local: minute}},
		"later":             {record.Lifetimes{Remote: minute, Local: minute}, second, record.Lifetimes{Remote: minute, Local: minute - second}},
		"at the end":        {record.Lifetimes{Remote: second, Local: second}, second, record.Lifetimes{Remote: second, Local: record.Expired}},
		"after the end":     {record.Lifetimes{Remote: second, Local: second}, minute, record.Lifetimes{Remote: second, Local: record.Expired}},
		"without a bound":   {record.Lifetimes{Remote: minute, Local: record.NoBound}, second, record.Lifetimes{Remote: minute, Local: record.NoBound}},
		"remote not stored": {record.Lifetimes{Local: minute}, second, record.Lifetimes{Local: minute}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				time.Sleep(test.passed)
				if got := test.life.Since(began); got != test.want {
					t.Errorf("the lifetimes are %+v, want %+v", got, test.want)
				}
			})
		})
	}
}

func TestReadTellsValuesFromPlaceholders(t *testing.T) {
	tests := map[string]struct {
		data []byte
		want record.Kind
	}{
		"a value":                      {[]byte("v"), record.Value},
		"empty":                        {[]byte{}, record.Value},
		"nil":                          {nil, record.Value},
		"a placeholder":                {[]byte("*"), record.NotFound},
		"the placeholder":              {record.Placeholder, record.NotFound},
		"what begins like one":         {[]byte("**"), record.Value},
		"what has one somewhere in it": {[]byte(" *"), record.Value},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out := record.Read(test.data, record.Remote)
			if out.Kind != test.want || out.From != record.Remote {
				t.Errorf("kind %d from %d, want kind %d from %d", out.Kind, out.From, test.want, record.Remote)
			}
			if want := test.data; out.Kind == record.Value && !slices.Equal(out.Data, want) {
				t.Errorf("the data is %q, want %q", out.Data, want)
			}
			if out.Kind == record.NotFound && out.Data != nil {
				t.Errorf("a placeholder has the data %q", out.Data)
			}
			if got := record.IsPlaceholder(test.data); got != (test.want == record.NotFound) {
				t.Errorf("IsPlaceholder says %v", got)
			}
		})
	}
}

func TestTheZeroRecordHasNoResult(t *testing.T) {
	var rec record.Record
	if rec.Out.Kind != record.Miss || rec.Out.From != record.Nowhere {
		t.Errorf("kind %d from %d", rec.Out.Kind, rec.Out.From)
	}
	if rec.Stored != record.Failed || rec.If != record.Always {
		t.Errorf("stored %d, condition %d", rec.Stored, rec.If)
	}
}
