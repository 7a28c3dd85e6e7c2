package encodingtest

import (
	"fmt"

	"github.com/mgtv-tech/jetcache-go/encoding"
)

// The types of values that refer back to themselves.
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
	}
	list []list
	dict map[string]dict
	// Links is embedded.
	Links  struct{ Back *linked }
	linked struct {
		*Links
		Name string
	}
	holder struct{ Any any }
)

// cycles returns values that refer back to themselves.
func cycles() []any {
	n := &node{}
	n.Next = n
	u := &user{Name: "Ada"}
	u.Posts = []*post{{Title: "first", Author: u}}
	l := list{nil}
	l[0] = l
	d := dict{}
	d["self"] = d
	b := &linked{Links: &Links{}}
	b.Back = b
	anyMap := map[string]any{}
	anyMap["self"] = anyMap
	anyList := []any{nil}
	anyList[0] = anyList
	var x any
	x = &x
	h := &holder{}
	h.Any = []any{h}
	return []any{n, *n, u, *u, l, d, b, anyMap, anyList, x, h, []*user{u}, map[string]any{"user": u}}
}

func cyclic(c encoding.Codec) error {
	for _, v := range cycles() {
		b, err := c.Marshal(v)
		if err == nil {
			return fmt.Errorf("a %T that refers back to itself was encoded as %d bytes", v, len(b))
		}
		if text := err.Error(); len(text) > encoding.MaxErrorText {
			return fmt.Errorf("a %T that refers back to itself has an error with a text of %d bytes, more than %d", v, len(text), encoding.MaxErrorText)
		}
	}
	return nil
}

// deep verifies that a codec which refuses values that nest without end does not refuse values
// that are merely deep.
func deep(c encoding.Codec) error {
	const levels = 1000
	var head *node
	for range levels {
		head = &node{Name: "n", Next: head}
	}
	b, err := c.Marshal(head)
	if err != nil {
		return fmt.Errorf("encoding a chain of %d nodes: %w", levels, err)
	}
	var back *node
	if err := c.Unmarshal(b, &back); err != nil {
		return fmt.Errorf("decoding a chain of %d nodes: %w", levels, err)
	}
	n := 0
	for ; back != nil; back = back.Next {
		n++
	}
	if n != levels {
		return fmt.Errorf("a chain of %d nodes came back as %d", levels, n)
	}
	return nil
}
