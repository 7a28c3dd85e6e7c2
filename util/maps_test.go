package util

import (
	"maps"
	"testing"
)

func TestMergeMap(t *testing.T) {
	type m = map[string]int
	for name, tt := range map[string]struct {
		maps []m
		want m
	}{
		"none":               {nil, m{}},
		"one":                {[]m{{"a": 1}}, m{"a": 1}},
		"disjoint":           {[]m{{"a": 1}, {"b": 2}}, m{"a": 1, "b": 2}},
		"the later map wins": {[]m{{"a": 1, "b": 1}, {"a": 2}, {"c": 3}}, m{"a": 2, "b": 1, "c": 3}},
		"nil is empty":       {[]m{nil, {"a": 1}, nil}, m{"a": 1}},
		"only nil":           {[]m{nil}, m{}},
	} {
		if got := MergeMap(tt.maps...); got == nil || !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestMergeMapLeavesItsArgumentsAlone(t *testing.T) {
	a, b := map[int]string{1: "a"}, map[int]string{1: "b", 2: "b"}
	merged := MergeMap(a, b)
	merged[3] = "new"
	if len(a) != 1 || a[1] != "a" || len(b) != 2 {
		t.Errorf("the arguments are %v and %v", a, b)
	}
	single := MergeMap(a)
	single[1] = "changed"
	if a[1] != "a" {
		t.Error("the result for one map is that map")
	}
}
