package nesting

import (
	"fmt"
	"reflect"
	"slices"
)

// plan is how a walker goes through the values of a type.
type plan struct {
	typ    reflect.Type
	walk   bool  // a value can nest without end: the type contains itself, or an interface
	key    *plan // of a map
	elem   *plan // of a pointer, a list or a map
	fields []field
	loops  bool // the type embeds itself
}

// field is a field of a struct, or of a struct that it embeds.
type field struct {
	name  string
	index []int
	plan  *plan
}

// builder makes the plan of one type, and of those in it. The Checker's mutex is held.
type builder struct {
	checker *Checker
	open    map[reflect.Type]*plan // of the types that contain the one at hand
}

// plan returns the plan of t, and whether its values have to be walked through. If the plan of t
// is still being made, t contains itself, and its values have to be walked through.
func (b *builder) plan(t reflect.Type) (p *plan, walk bool) {
	if p, ok := b.checker.plans[t]; ok {
		return p, p.walk
	}
	if p, ok := b.open[t]; ok {
		return p, true
	}
	p = &plan{typ: t}
	b.open[t] = p
	if !b.encodesItself(t) {
		b.fill(p)
	}
	delete(b.open, t)
	b.checker.plans[t] = p
	return p, p.walk
}

func (b *builder) fill(p *plan) {
	part := func(t reflect.Type) *plan {
		inner, walk := b.plan(t)
		p.walk = p.walk || walk
		return inner
	}
	switch t := p.typ; t.Kind() {
	case reflect.Interface:
		p.walk = true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		p.elem = part(t.Elem())
	case reflect.Map:
		p.key, p.elem = part(t.Key()), part(t.Elem())
	case reflect.Struct:
		p.loops = b.fields(t, nil, map[reflect.Type]bool{t: true}, func(f reflect.StructField, index []int) {
			p.fields = append(p.fields, field{f.Name, index, part(f.Type)})
		})
	}
}

// fields calls add for each field of the struct t that is encoded. It calls add for the fields
// of an embedded struct instead of that struct itself, but only once for each type. It tells
// whether a struct embeds itself. The index leads to t, and seen has the types around it.
func (b *builder) fields(t reflect.Type, index []int, seen map[reflect.Type]bool, add func(reflect.StructField, []int)) (loops bool) {
	rules := &b.checker.rules
	for i := range t.NumField() {
		f := t.Field(i)
		if rules.Skips(f) || !f.IsExported() && !f.Anonymous {
			continue
		}
		at := append(slices.Clip(index), i)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if !f.Anonymous || inner.Kind() != reflect.Struct || !rules.Embeds(f) || b.encodesItself(f.Type) || b.encodesItself(inner) {
			add(f, at)
			continue
		}
		if seen[inner] {
			loops = true
			continue
		}
		seen[inner] = true
		loops = b.fields(inner, at, seen, add) || loops
	}
	return loops
}

// encodesItself tells whether t has a method that encodes it, or a pointer to t has.
func (b *builder) encodesItself(t reflect.Type) bool {
	for _, own := range b.checker.rules.Own {
		if t.Implements(own) || t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(own) {
			return true
		}
	}
	return false
}

// describable returns an error if p's type or one in it embeds itself.
func (c *Checker) describable(p *plan, seen map[*plan]bool) error {
	if p == nil || seen[p] {
		return nil
	}
	seen[p] = true
	if p.loops {
		return fmt.Errorf("the struct %v embeds itself, which the codec cannot encode: replace the embedded field by a field with a name", p.typ)
	}
	for _, inner := range []*plan{p.key, p.elem} {
		if err := c.describable(inner, seen); err != nil {
			return err
		}
	}
	for _, f := range p.fields {
		if err := c.describable(f.plan, seen); err != nil {
			return err
		}
	}
	return nil
}
