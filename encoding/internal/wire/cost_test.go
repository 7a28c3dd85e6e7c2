package wire

import "testing"

func TestCostOfTypes(t *testing.T) {
	type node struct {
		Children []node
		Next     *node
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
		{new(node), cost{element: 32}},
		{new(struct {
			A []struct{ B map[int32][]int16 }
		}), cost{element: 8, pair: 28}},
	} {
		if got := costOf(tt.v); got != tt.want {
			t.Errorf("%T: %+v, want %+v", tt.v, got, tt.want)
		}
	}
}
