package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

func TestCount(t *testing.T) {
	for text, want := range map[string]bound.Counts{
		``:                                  {},
		`1`:                                 {},
		`"[{,:]"`:                           {},
		`[]`:                                {Containers: 1},
		`{}`:                                {Containers: 1},
		`[1]`:                               {Containers: 1, Elements: 1},
		`[1,2,3]`:                           {Containers: 1, Elements: 3},
		`[[],[]]`:                           {Containers: 3, Elements: 2},
		`{"a":1}`:                           {Containers: 1, Pairs: 1},
		`{"a":1,"b":[1,2],"c":{"d":[]}}`:    {Containers: 4, Elements: 2, Pairs: 4},
		`[{"a":1,"b":2},3,{"c":4}]`:         {Containers: 3, Elements: 3, Pairs: 3},
		"\t[ 1 ,\n{ \"a\" : [ 2 , 3 ] } ] ": {Containers: 3, Elements: 4, Pairs: 1},
		`["\"",",\\",":\\\"]",4]`:           {Containers: 1, Elements: 4},
		`{"\"a\\":"\\"}`:                    {Containers: 1, Pairs: 1},
	} {
		if got, err := Count([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// Data that is not JSON must not lower the counts of the JSON before it, which a decoder may have
// decoded.
func TestCountsOnlyGrow(t *testing.T) {
	for _, text := range []string{`[{},{},{}]`, `[{"a":[1,2],"b":"x"},{}]`, "[1,2,3]]]]}}}:::", `{"a":[1,2,{"b":3}]}`, `[1,2,"never ends\"`, `[[}],[1,2}{`} {
		before := bound.Counts{}
		for n := range len(text) + 1 {
			got, err := Count([]byte(text[:n]))
			if err != nil || got.Containers < before.Containers || got.Elements < before.Elements || got.Pairs < before.Pairs {
				t.Errorf("%q: %+v, %v, after %+v", text[:n], got, err, before)
			}
			before = got
		}
	}
}

func TestCountBoundsDepth(t *testing.T) {
	for level, levels := range map[string]int{"[": bound.MaxDepth, `{"a":`: bound.MaxDepth, `[{"a":`: bound.MaxDepth / 2} {
		if _, err := Count([]byte(strings.Repeat(level, levels))); err != nil {
			t.Errorf("%d times %s: %v", levels, level, err)
		}
		if _, err := Count([]byte(strings.Repeat(level, levels+1))); !errors.Is(err, errDepth) {
			t.Errorf("%d times %s: %v, want %v", levels+1, level, err, errDepth)
		}
	}
	// Values behind a nested one are not nested.
	if _, err := Count([]byte("[" + strings.Repeat("[],{},", bound.MaxDepth) + "1]")); err != nil {
		t.Errorf("a wide, flat list: %v", err)
	}
}

// reference counts what a decoded value holds.
func reference(v any) (n bound.Counts) {
	switch v := v.(type) {
	case []any:
		n = bound.Counts{Containers: 1, Elements: len(v)}
		for _, e := range v {
			n.Add(reference(e))
		}
	case map[string]any:
		n = bound.Counts{Containers: 1, Pairs: len(v)}
		for _, e := range v {
			n.Add(reference(e))
		}
	}
	return n
}

// random returns a value with lists and maps that many levels deep.
func random(rnd *rand.Rand, depth int) any {
	text := strings.Repeat(string([]byte{`[]{},:"\ax`[rnd.IntN(10)]}), rnd.IntN(5))
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rnd.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return rnd.Float64()
	case 2, 3:
		return text
	case 4:
		list := make([]any, rnd.IntN(6))
		for i := range list {
			list[i] = random(rnd, depth-1)
		}
		return list
	default:
		m := map[string]any{}
		for range rnd.IntN(6) {
			m[text+string(rune('a'+rnd.IntN(26)))] = random(rnd, depth-1)
		}
		return m
	}
}

func TestCountAgreesWithADecoder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 15))
	for range 5000 {
		v := random(rnd, 5)
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		want := reference(v)
		if got, err := Count(text); err != nil || got != want {
			t.Fatalf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", " "); err != nil {
			t.Fatal(err)
		}
		if got, err := Count(indented.Bytes()); err != nil || got != want { // encoding/json puts no space into empty lists
			t.Fatalf("%s: %+v, %v, want %+v", indented.Bytes(), got, err, want)
		}
	}
}

func TestAdmit(t *testing.T) {
	type kilobyte struct{ A [1024]byte }
	for _, tt := range []struct {
		name, text string
		v          any
		refused    bool
	}{
		{"few elements", "[" + strings.Repeat("{},", 1000) + "{}]", new([]kilobyte), false},
		{"many elements", "[" + strings.Repeat("{},", 350_000) + "{}]", new([]kilobyte), true},
		{"elements that are no objects", "[" + strings.Repeat("0,", 500_000) + "0]", new([]kilobyte), true},
		{"many elements of a cheap type", "[" + strings.Repeat("{},", 350_000) + "{}]", new([]any), false},
		{"many pairs", "{" + strings.Repeat(`"a":0,`, 300_000) + `"a":0}`, new(map[string]kilobyte), true},
		{"many pointers", "[" + strings.Repeat(`{"P":0},`, 300_000) + "0]", new([]struct{ P *kilobyte }), true},
		{"one pointer, in a long string", `[{"P":{"A":[` + strings.Repeat("1,", 1000) + `0]}},"` + strings.Repeat(`\"[,:`, 1<<20) + `"]`, new([]struct{ P *kilobyte }), false},
		{"too deep", strings.Repeat("[", 2<<20), new([]kilobyte), true},
		{"behind an interface", "[" + strings.Repeat("{},", 350_000) + "{}]", func() any { var v any = new([]kilobyte); return &v }(), true},
	} {
		if err := Admit([]byte(tt.text), tt.v); (err != nil) != tt.refused {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCountAllocatesNothing(t *testing.T) {
	text, err := json.Marshal(encodingtest.Sample(1))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = Count(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCount(f *testing.F) {
	for _, text := range []string{`[]`, `[ ]`, `{"a":[1,"\"\\",{}]}`, `[{"a":1},[2,3]]`, `"\\\""`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Count(data)
		var v any
		if json.Unmarshal(data, &v) != nil {
			return
		}
		// An empty list with space in it counts as an element, and a key may come twice.
		if want := reference(v); err != nil || got.Containers < want.Containers || got.Elements < want.Elements || got.Pairs < want.Pairs {
			t.Errorf("%q: %+v, %v, want at least %+v", data, got, err, want)
		}
	})
}

// How long it takes to count a list of a thousand entities, and to decode it.
func BenchmarkCount(b *testing.B) {
	entities := make([]encodingtest.Entity, 1000)
	for i := range entities {
		entities[i] = encodingtest.Sample(int64(i))
	}
	text, err := json.Marshal(entities)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("count", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Count(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			var dst []encodingtest.Entity
			if err := json.Unmarshal(text, &dst); err != nil {
				b.Fatal(err)
			}
		}
	})
}
