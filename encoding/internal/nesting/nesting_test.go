package nesting

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mgtv-tech/jetcache-go/encoding/encodingtest"
	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
	"github.com/mgtv-tech/jetcache-go/internal/test/racing"
)

// checker has rules such as codecs have: a tag "-" leaves a field out, a tag "named" gives an
// embedded struct a name.
func checker() *Checker {
	return New(Rules{
		Skips:  func(f reflect.StructField) bool { return f.Tag.Get("t") == "-" },
		Embeds: func(f reflect.StructField) bool { return f.Tag.Get("t") == "" },
		Own:    []reflect.Type{reflect.TypeFor[encoding.TextMarshaler]()},
		Mend:   ` (t:"-")`,
	})
}

type (
	node struct {
		Name string
		Next *node
	}
	user struct {
		Name  string
		Posts []*post
	}
	post struct {
		Title  string
		Author *user
		Hidden *post `t:"-"`
	}
	list    []list
	dict    map[string]dict
	pointer *pointer
	keyed   map[any]int
	Base    struct{ Back *derived }
	derived struct {
		*Base
		Name string
	}
	self struct {
		*self
		Back *self `t:"named"`
		N    int
	}
	textual struct{ Back *textual }
	array   [2]*array
	holder  struct{ Any any }
	inner   struct{ Any any }
	outer   struct {
		inner
		N int
	}
)

func (*textual) MarshalText() ([]byte, error) { return []byte("text"), nil }

// cyclic returns values that refer back to themselves, by what their errors have to say.
func cyclic() map[string]any {
	n := &node{}
	n.Next = n
	m := &node{Next: &node{Next: &node{}}}
	m.Next.Next.Next = m
	u := &user{}
	u.Posts = []*post{{Title: "first"}, {Title: "second", Author: u}}
	l := list{nil, nil}
	l[1] = l
	d := dict{}
	d["a long key that is cut somewhere"] = d
	var p pointer
	p = &p
	k := keyed{}
	k[&k] = 1
	b := &derived{Base: &Base{}}
	b.Back = b
	s := &self{}
	s.Back = s
	a := &array{}
	a[1] = a
	anyMap := map[string]any{}
	anyMap["self"] = anyMap
	anyList := []any{1, nil}
	anyList[1] = anyList
	var x any
	x = &x
	h := &holder{}
	h.Any = h
	mixed := map[string]any{"list": []any{holder{Any: h}}}
	o := &outer{}
	o.Any = map[string]any{"o": o}
	return map[string]any{
		"a *nesting.node refers back to itself at Next.Next":                                       n,
		"*nesting.node refers back to itself at Next.Next.Next.Next":                               m,
		"a *nesting.user refers back to itself at Posts[1].Author.Posts[1].Author":                 u,
		"a nesting.user refers back to itself at Posts[1].Author.Posts[1].Author":                  *u,
		"a []nesting.user refers back to itself at [0].Posts[1].Author":                            []user{*u},
		"a nesting.list refers back to itself at [1][1][1]":                                        l,
		`a nesting.dict refers back to itself at ["a long key that is c"]["a long key that is c"]`: d,
		"a nesting.pointer refers back to itself: leave":                                           p,
		"a nesting.keyed refers back to itself at [a key][a key]":                                  k,
		"a *nesting.derived refers back to itself at Back.Back":                                    b,
		"a *nesting.self refers back to itself at Back.Back":                                       s,
		"a *nesting.array refers back to itself at [1][1]":                                         a,
		`a map[string]interface {} refers back to itself at ["self"]["self"]`:                      anyMap,
		"a []interface {} refers back to itself at [1][1]":                                         anyList,
		"a *interface {} refers back to itself: leave":                                             x,
		"a *nesting.holder refers back to itself at Any.Any":                                       h,
		`a map[string]interface {} refers back to itself at ["list"][0].Any.Any.Any`:               mixed,
		`a *nesting.outer refers back to itself at Any["o"].Any["o"]`:                              o,
	}
}

func TestValuesThatReferBackToThemselves(t *testing.T) {
	c := checker()
	for want, v := range cyclic() {
		err := c.Check(v)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), ` (t:"-")`) {
			t.Errorf("%T: %v, want %s", v, err, want)
		} else if len(err.Error()) > bound.MaxErrorText {
			t.Errorf("%T: the text of %d bytes", v, len(err.Error()))
		}
	}
}

func TestDeepValues(t *testing.T) {
	c := checker()
	chain := func(n int) (head *node) {
		for range n {
			head = &node{Next: head}
		}
		return head
	}
	lists := func(n int) (l list) {
		for range n {
			l = list{l}
		}
		return l
	}
	anys := func(n int) (v any) {
		for i := range n {
			if i%2 == 0 {
				v = []any{v}
			} else {
				v = map[string]any{"k": v}
			}
		}
		return v
	}
	for _, n := range []int{1, 9000, bound.MaxDepth} {
		for _, v := range []any{chain(n), lists(n), anys(n), *chain(n)} {
			if err := c.Check(v); err != nil {
				t.Errorf("%d levels of a %T: %v", n, v, err)
			}
		}
	}
	for _, v := range []any{chain(bound.MaxDepth + 1), lists(bound.MaxDepth + 1), anys(bound.MaxDepth + 1), chain(1_000_000)} {
		err := c.Check(v)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("a %T nests deeper than 10000 lists and maps inside each other at ", v)) {
			t.Errorf("a %T that is too deep: %v", v, err)
		}
	}
}

// Values that come up more than once, but not inside themselves, are fine, and so are fields
// that are left out and types that encode themselves.
func TestValuesThatAreFine(t *testing.T) {
	shared := &node{Name: "shared"}
	hidden := &post{}
	hidden.Hidden = hidden
	text := &textual{}
	text.Back = text
	self := &self{}
	self.self = self // never encoded: the fields of the outer one hide those of the inner one
	c := checker()
	for _, v := range []any{
		nil, 1, "text", []byte("bytes"), time.Now(), (*node)(nil), list(nil), dict(nil), keyed(nil), pointer(nil), any(nil),
		[]*node{shared, shared, {Next: shared}}, map[string]any{"a": shared, "b": shared, "c": []any{shared, nil}},
		hidden, text, holder{text}, self, array{}, &derived{Name: "no base"}, encodingtest.Sample(1), &holder{(*node)(nil)},
		map[*node]string{shared: "key"}, map[any]any{1: shared, "a": nil}, make(chan int), func() {}, struct{ F func() }{},
		[]any{uint8(1), float32(1), complex(1, 1), [2]any{1, 2}},
	} {
		if err := c.Check(v); err != nil {
			t.Errorf("a %T: %v", v, err)
		}
	}
}

func TestTypesThatEmbedThemselves(t *testing.T) {
	type mutual struct{ *derived }
	for _, forEver := range []bool{true, false} {
		rules := checker().rules
		rules.EmbedsForEver = forEver
		c := New(rules)
		for _, v := range []any{self{}, &self{}, []self{}, map[string]*self{}, struct{ A []holder }{}, struct{ A *self }{}} {
			_, fine := v.(struct{ A []holder })
			err, typeErr := c.Check(v), c.CheckType(reflect.TypeOf(v))
			if (err != nil) != (forEver && !fine) || (typeErr != nil) != (err != nil) {
				t.Errorf("a %T: %v, %v", v, err, typeErr)
			}
			if err != nil && !strings.Contains(err.Error(), "nesting.self embeds itself") {
				t.Errorf("a %T: %v", v, err)
			}
		}
		if err := c.Check(holder{Any: []any{self{}}}); (err != nil) != forEver {
			t.Errorf("in an interface: %v", err)
		}
		if err := c.Check(mutual{}); err != nil {
			t.Errorf("a struct that embeds another: %v", err)
		}
		if err := c.CheckType(nil); err != nil {
			t.Errorf("no type: %v", err)
		}
	}
}

// Values that cannot nest are not walked through, also as parts of others.
func TestOnlyTypesThatCanNestAreWalkedThrough(t *testing.T) {
	c := checker()
	for _, tt := range []struct {
		v    any
		walk bool
	}{
		{1, false}, {"", false}, {[]string{}, false}, {map[string][]int{}, false}, {struct{ A, B *[]string }{}, false}, {textual{}, false},
		{time.Time{}, false}, {struct{ T *textual }{}, false}, {struct {
			Next *node `t:"-"`
		}{}, false},
		{node{}, true}, {[]*node{}, true}, {map[string]node{}, true}, {struct{ N *node }{}, true}, {[]any{}, true}, {struct{ E error }{}, true},
		{map[node]int{}, true}, {encodingtest.Entity{}, true},
	} {
		if r := c.root(reflect.TypeOf(tt.v)); r.walk != tt.walk {
			t.Errorf("a %T is walked through: %t", tt.v, r.walk)
		}
	}
	fields := c.root(reflect.TypeFor[encodingtest.Entity]()).fields
	for _, f := range fields {
		if f.plan.walk != (f.name == "Parent") {
			t.Errorf("the field %s is walked through: %t", f.name, f.plan.walk)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	c := checker()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for want, v := range cyclic() {
				if err := c.Check(v); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%T: %v", v, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCheckAllocatesNothing(t *testing.T) {
	if racing.Enabled {
		t.Skip("skipped: the race detector allocates")
	}
	c := checker()
	entity, plain := ptr(encodingtest.Sample(1)), ptr(struct{ A, B string }{})
	for _, v := range []any{1, plain, entity, []any{1, "text", nil, entity}, &node{Next: &node{}}} {
		if n := testing.AllocsPerRun(100, func() {
			if err := c.Check(v); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("a %T: %v allocations", v, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	c := checker()
	fields := make(map[string]any, 20)
	for i := range 20 {
		fields[fmt.Sprint("field ", i)] = i
	}
	for name, v := range map[string]any{
		"a plain struct":     ptr(struct{ A, B string }{}),
		"an entity":          ptr(encodingtest.Sample(1)),
		"a map of 20 fields": fields,
		"a list of 100":      make([]any, 100),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Check(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
