package wire

import (
	"reflect"
	"testing"
	"time"
)

// fromText decodes itself from a string.
type fromText struct{ A, B, C, D, E string }

func (*fromText) UnmarshalText([]byte) error { return nil }

func TestCostOfTypes(t *testing.T) {
	type node struct {
		Children []node
		Next     *node
	}
	type large struct{ A [16]int64 } // 128 bytes
	type larger struct {
		*large
		B int64
	}
	for _, tt := range []struct {
		v    any
		want Cost
	}{
		{nil, Cost{}},
		{new(int), Cost{}},
		{new([]int64), Cost{element: 8}},
		{new([][4]int32), Cost{element: 16}},
		{new([]*int64), Cost{element: 16}},
		{new(map[string]int64), Cost{pair: 24}},
		{new(map[string][]string), Cost{element: 16, pair: 40}},
		{new(any), Cost{element: anyCost, pair: 2 * anyCost}},
		{new(node), Cost{element: 32, container: 32}},
		{new(struct {
			A []struct{ B map[int32][]int16 }
		}), Cost{element: 8, pair: 28}},
		{new(struct{ P *large }), Cost{container: 128, element: 8}},
		{new(struct{ P **large }), Cost{container: 136, element: 8}},
		{new(struct{ P *[]int16 }), Cost{container: 24, element: 2}},
		{new(struct{ P *string }), Cost{}},
		{new(struct{ P *[16]byte }), Cost{element: 1}},
		{new(struct{ P *[128]byte }), Cost{element: 129, pair: 128}},
		{new(struct{ P *fromText }), Cost{element: 80, pair: 80}},
		{new(struct{ At time.Time }), CostOf(reflect.TypeFor[time.Time]())},
		{new(larger), Cost{container: 128, element: 8}},
		{new([]struct{ P *larger }), Cost{container: 128 + 16, element: 8}},
	} {
		if got := CostOf(reflect.TypeOf(tt.v)); got != tt.want {
			t.Errorf("%T: %+v, want %+v", tt.v, got, tt.want)
		}
	}
}
