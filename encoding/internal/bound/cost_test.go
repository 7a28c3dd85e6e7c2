package bound

import (
	"reflect"
	"testing"
	"time"
)

// fromText decodes itself from a string.
type fromText struct{ A, B, C, D, E string }

func (*fromText) UnmarshalText([]byte) error { return nil }

// Pointing has an exported name, so that a struct that embeds a pointer to it can be filled.
type Pointing struct{ P *[16]int64 }

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
		{new(struct{ P *large }), Cost{container: 128, element: 8, field: 128, fields: 128}},
		{new(struct{ P **large }), Cost{container: 136, element: 8, field: 136, fields: 136}},
		{new(struct {
			P, Q *large
			R    *larger
		}), Cost{container: 128, element: 8, embedded: 128, field: 128, fields: 256}},
		{new(struct{ P *[]int16 }), Cost{container: 24, element: 2}},
		{new(struct{ P *string }), Cost{}},
		{new(struct{ P *[16]byte }), Cost{element: 1}},
		{new(struct{ P *[128]byte }), Cost{element: 1, scalar: 128, field: 128, fields: 128}},
		{new(struct{ P *fromText }), Cost{scalar: 80, field: 80, fields: 80}},
		{new(struct{ At time.Time }), Cost{}},
		{new([]struct{ At *time.Time }), Cost{element: 8}},
		{new(larger), Cost{embedded: 128, element: 8}},
		{new([]struct{ P *larger }), Cost{container: 16, embedded: 128, element: 8}},
		{new(struct{ Inner struct{ P *large } }), Cost{container: 128, element: 8, field: 128, fields: 128}},
		{new(struct{ *Pointing }), Cost{container: 128, element: 8, embedded: 8, field: 128, fields: 128}},
	} {
		if got := CostOf(reflect.TypeOf(tt.v)); got != tt.want {
			t.Errorf("%T: %+v, want %+v", tt.v, got, tt.want)
		}
	}
}

// If an interface holds a pointer, a decoder fills the value behind that pointer.
func TestDestination(t *testing.T) {
	var (
		ints  []int
		empty any
		full  any = &ints
		value any = ints
	)
	for _, tt := range []struct {
		v    any
		want reflect.Type
	}{
		{nil, nil},
		{ints, reflect.TypeFor[[]int]()},
		{&ints, reflect.TypeFor[*[]int]()},
		{(*[]int)(nil), reflect.TypeFor[*[]int]()},
		{&empty, reflect.TypeFor[*any]()},
		{(*any)(nil), reflect.TypeFor[*any]()},
		{&full, reflect.TypeFor[*[]int]()},
		{&value, reflect.TypeFor[*any]()},
	} {
		if got := Destination(tt.v); got != tt.want {
			t.Errorf("%T: %v, want %v", tt.v, got, tt.want)
		}
	}
}

// A type that costs no more than limit allows for each byte needs no look at the text.
func TestTypesForWhichNobodyHasToCount(t *testing.T) {
	type kilobyte struct{ A [1024]byte }
	for _, tt := range []struct {
		v    any
		size int
		want bool
	}{
		{new(any), 1 << 30, true},
		{new([]int), 1 << 30, true},
		{new([]string), 1 << 30, true},
		{new([]kilobyte), 64 << 10, true},
		{new([]kilobyte), 1 << 20, false},
		{new(map[string]kilobyte), 64 << 10, true},
		{new(map[string]kilobyte), 2 << 20, false},
		{new([]struct{ P *kilobyte }), 2 << 20, false},
		{new(kilobyte), 1 << 30, true},
	} {
		if got := CostOf(reflect.TypeOf(tt.v)).AdmitsAnyJSON(tt.size); got != tt.want {
			t.Errorf("%d bytes into a %T: %t, want %t", tt.size, tt.v, got, tt.want)
		}
	}
}
