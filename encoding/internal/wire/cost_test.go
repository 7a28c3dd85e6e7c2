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
		want cost
	}{
		{nil, cost{}},
		{new(int), cost{}},
		{new([]int64), cost{element: 8}},
		{new([][4]int32), cost{element: 16}},
		{new([]*int64), cost{element: 16}},
		{new(map[string]int64), cost{pair: 24}},
		{new(map[string][]string), cost{element: 16, pair: 40}},
		{new(any), cost{element: anyCost, pair: 2 * anyCost}},
		{new(node), cost{element: 32, container: 32}},
		{new(struct {
			A []struct{ B map[int32][]int16 }
		}), cost{element: 8, pair: 28}},
		{new(struct{ P *large }), cost{container: 128, element: 8}},
		{new(struct{ P **large }), cost{container: 136, element: 8}},
		{new(struct{ P *[]int16 }), cost{container: 24, element: 2}},
		{new(struct{ P *string }), cost{}},
		{new(struct{ P *[16]byte }), cost{element: 1}},
		{new(struct{ P *[128]byte }), cost{element: 129, pair: 128}},
		{new(struct{ P *fromText }), cost{element: 80, pair: 80}},
		{new(struct{ At time.Time }), costOf(reflect.TypeFor[time.Time]())},
		{new(larger), cost{container: 128, element: 8}},
		{new([]struct{ P *larger }), cost{container: 128 + 16, element: 8}},
	} {
		if got := costOf(reflect.TypeOf(tt.v)); got != tt.want {
			t.Errorf("%T: %+v, want %+v", tt.v, got, tt.want)
		}
	}
}
