// Package nesting refuses values that would nest too deep when they are encoded, most of all
// values that refer back to themselves. An encoder that follows such a value overflows the
// stack, which ends the process.
package nesting

import (
	"reflect"
	"sync"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

// Rules say what a codec encodes of a type.
type Rules struct {
	// Skips tells whether the codec leaves out the field because of its tag.
	Skips func(reflect.StructField) bool
	// Embeds tells whether the codec writes the fields of the embedded struct, or of the one
	// behind the embedded pointer, among those of the struct around it.
	Embeds func(reflect.StructField) bool
	// Own are the interfaces of types that encode themselves. A Checker does not look into such
	// types.
	Own []reflect.Type
	// EmbedsForEver says that the codec cannot describe a type that embeds itself.
	EmbedsForEver bool
	// Mend is the end of the advice to leave out a field: the tag that does it.
	Mend string
}

// Checker checks the values that a codec is to encode. It may be used concurrently.
type Checker struct {
	rules Rules
	roots sync.Map // of *root, by reflect.Type

	mu    sync.Mutex
	plans map[reflect.Type]*plan // guarded by mu
}

// New returns a Checker for the codec that has the rules.
func New(rules Rules) *Checker {
	return &Checker{rules: rules, plans: make(map[reflect.Type]*plan)}
}

// root is what a Checker knows of the type of a value.
type root struct {
	*plan
	err error // not nil if the codec can neither encode nor decode values of the type
}

// Check returns an error if v nests deeper than MaxDepth or has a type that the codec cannot
// describe. It takes one look into a cache if v's type cannot contain itself and has no
// interface in it.
func (c *Checker) Check(v any) error {
	if v == nil {
		return nil
	}
	r := c.root(reflect.TypeOf(v))
	if r.err != nil {
		return r.err
	}
	if !r.walk {
		return nil
	}
	w := walker{checker: c}
	if deep := w.value(reflect.ValueOf(v), r.plan, place{}); deep != nil {
		return deep.err(reflect.TypeOf(v), c.rules.Mend)
	}
	return nil
}

// CheckType returns an error if the codec cannot describe t, which may be nil.
func (c *Checker) CheckType(t reflect.Type) error {
	if t == nil {
		return nil
	}
	return c.root(t).err
}

func (c *Checker) root(t reflect.Type) *root {
	if r, ok := c.roots.Load(t); ok {
		return r.(*root)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := builder{checker: c, open: make(map[reflect.Type]*plan)}
	p, _ := b.plan(t)
	r := &root{plan: p}
	if c.rules.EmbedsForEver {
		r.err = c.describable(p, make(map[*plan]bool))
	}
	actual, _ := c.roots.LoadOrStore(t, r)
	return actual.(*root)
}

// place is where a walker is in a value.
type place struct {
	depth int // how many lists and maps there are around it
	hops  int // how many pointers and interfaces led to it since the last of these
}

// maxHops is how many pointers and interfaces may lead to each other with no list, map or struct
// between them: only pointers that form a circle are more.
const maxHops = 1000

// in returns the place of what a list or map holds, or false if that is too deep.
func (p place) in() (place, bool) {
	return place{p.depth + 1, 0}, p.depth < bound.MaxDepth
}

// behind returns the place of what a pointer or interface leads to, or false if that is too far.
func (p place) behind() (place, bool) {
	return place{p.depth, p.hops + 1}, p.hops < maxHops
}
