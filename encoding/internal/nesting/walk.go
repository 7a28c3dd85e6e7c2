package nesting

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"github.com/mgtv-tech/jetcache-go/encoding/internal/bound"
)

// walker goes through one value.
type walker struct{ checker *Checker }

// value returns what is wrong if v, which is at the place and has the plan p, nests too deep.
func (w walker) value(v reflect.Value, p *plan, at place) *tooDeep {
	if !p.walk {
		return nil
	}
	switch p.typ.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		inner, ok := at.behind()
		if !ok {
			return new(tooDeep)
		}
		return w.value(v.Elem(), p.elem, inner).through(v)
	case reflect.Interface:
		return w.dynamic(v.Elem(), at)
	case reflect.Slice, reflect.Array:
		return w.list(v, p, at)
	case reflect.Map:
		return w.pairs(v, p, at)
	case reflect.Struct:
		return w.fields(v, p, at)
	}
	return nil
}

// dynamic goes through v, which an interface holds.
func (w walker) dynamic(v reflect.Value, at place) *tooDeep {
	switch v.Kind() {
	case reflect.Invalid, reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64: // most values
		return nil
	}
	r := w.checker.root(v.Type())
	if r.err != nil {
		return &tooDeep{typeErr: r.err}
	}
	if !r.walk {
		return nil
	}
	inner, ok := at.behind()
	if !ok {
		return new(tooDeep)
	}
	return w.value(v, r.plan, inner)
}

func (w walker) list(v reflect.Value, p *plan, at place) *tooDeep {
	inner, ok := at.in()
	for i := range v.Len() {
		if !ok {
			return new(tooDeep)
		}
		if deep := w.value(v.Index(i), p.elem, inner); deep != nil {
			return deep.step(at, func() string { return "[" + strconv.Itoa(i) + "]" }).through(v)
		}
	}
	return nil
}

func (w walker) pairs(v reflect.Value, p *plan, at place) *tooDeep {
	if v.Len() == 0 {
		return nil
	}
	inner, ok := at.in()
	if !ok {
		return new(tooDeep)
	}
	if p.typ == fieldsType && v.CanInterface() {
		return w.fieldMap(v, inner, at)
	}
	var elem reflect.Value // one for all: to take each out of the map allocates
	if v.CanInterface() {
		elem = reflect.New(p.typ.Elem()).Elem()
	}
	for pairs := v.MapRange(); pairs.Next(); {
		if p.key.walk {
			if deep := w.value(pairs.Key(), p.key, inner); deep != nil {
				return deep.step(at, func() string { return "[a key]" }).through(v)
			}
		}
		if !p.elem.walk {
			continue
		}
		if v.CanInterface() {
			elem.SetIterValue(pairs)
		} else {
			elem = pairs.Value()
		}
		if deep := w.value(elem, p.elem, inner); deep != nil {
			return deep.step(at, func() string { return "[" + keyText(pairs.Key()) + "]" }).through(v)
		}
	}
	return nil
}

var fieldsType = reflect.TypeFor[map[string]any]()

// fieldMap is pairs for a map[string]any, the most common map that can nest without end.
func (w walker) fieldMap(v reflect.Value, inner, at place) *tooDeep {
	for key, elem := range v.Interface().(map[string]any) {
		switch elem.(type) {
		case nil, string, bool, int, int64, float64: // most values
			continue
		}
		if deep := w.dynamic(reflect.ValueOf(elem), inner); deep != nil {
			return deep.step(at, func() string { return fmt.Sprintf("[%.20q]", key) }).through(v)
		}
	}
	return nil
}

func (w walker) fields(v reflect.Value, p *plan, at place) *tooDeep {
	inner, ok := at.in()
	if !ok {
		return new(tooDeep)
	}
	for _, f := range p.fields {
		if !f.plan.walk {
			continue
		}
		part, err := v.FieldByIndexErr(f.index)
		if err != nil { // behind an embedded pointer that is nil
			continue
		}
		if deep := w.value(part, f.plan, inner); deep != nil {
			return deep.step(at, func() string { return "." + f.name })
		}
	}
	return nil
}

// keyText returns a short text for a map's key.
func keyText(key reflect.Value) string {
	for key.Kind() == reflect.Interface && !key.IsNil() {
		key = key.Elem()
	}
	switch {
	case key.Kind() == reflect.String:
		return fmt.Sprintf("%.20q", key.String())
	case key.CanInt():
		return strconv.FormatInt(key.Int(), 10)
	case key.CanUint():
		return strconv.FormatUint(key.Uint(), 10)
	}
	return "a " + key.Type().String()
}

// tooDeep is a place that is too deep. It collects the path to it on the way back.
type tooDeep struct {
	typeErr error            // if not nil, the place is not too deep, but has a type that the codec cannot describe
	path    [maxSteps]string // its first parts
	more    bool             // there are more
	seen    map[visit]bool
	cycle   bool // the path comes twice through the same pointer, list or map
}

// maxSteps is how many parts of a path an error shows.
const maxSteps = 8

// visit is a pointer, a list or a map on a path.
type visit struct {
	typ reflect.Type
	at  unsafe.Pointer
	len int
}

// step adds the part of the path that leads from the place further.
func (d *tooDeep) step(at place, text func() string) *tooDeep {
	if at.depth < maxSteps {
		d.path[at.depth] = text()
	} else {
		d.more = true
	}
	return d
}

// through notes that the path comes through v. It returns d, which may be nil.
func (d *tooDeep) through(v reflect.Value) *tooDeep {
	if d == nil || v.Kind() == reflect.Array {
		return d
	}
	at := visit{typ: v.Type(), at: v.UnsafePointer()}
	if v.Kind() == reflect.Slice {
		at.len = v.Len()
	}
	if d.seen == nil {
		d.seen = make(map[visit]bool)
	}
	d.cycle = d.cycle || d.seen[at]
	d.seen[at] = true
	return d
}

func (d *tooDeep) err(t reflect.Type, mend string) error {
	if d.typeErr != nil {
		return d.typeErr
	}
	path := strings.TrimPrefix(strings.Join(d.path[:], ""), ".")
	if d.more {
		path += " and so on"
	}
	if path != "" {
		path = " at " + path
	}
	if d.cycle {
		return fmt.Errorf("a %v refers back to itself%s: leave out the field that leads back%s", t, path, mend)
	}
	return fmt.Errorf("a %v nests deeper than %d lists and maps inside each other%s: store its parts as values of their own", t, bound.MaxDepth, path)
}
