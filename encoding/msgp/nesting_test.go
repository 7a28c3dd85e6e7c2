package msgp

import (
	"strings"
	"testing"

	"github.com/mgtv-tech/jetcache-go/encoding"
	"github.com/mgtv-tech/jetcache-go/encoding/msgp/internal/entitytest"
)

func TestValuesThatReferBackToThemselves(t *testing.T) {
	branch := &entitytest.Tree{Name: "branch"}
	branch.Left = branch
	list := &entitytest.Tree{Children: []*entitytest.Tree{nil, {}}}
	list.Children[1].Right = list
	dynamic := &entitytest.Dynamic{}
	dynamic.Value = []any{map[string]any{"self": dynamic}}
	for want, v := range map[string]any{
		"a *entitytest.Tree refers back to itself at Left.Left":                           branch,
		"a entitytest.Tree refers back to itself at Left.Left":                            *branch,
		"a **entitytest.Tree refers back to itself at Left.Left":                          &branch,
		"a *entitytest.Tree refers back to itself at Children[1].Right.Children[1].Right": list,
		`a *entitytest.Dynamic refers back to itself at Value[0]["self"].Value[0]`:        dynamic,
		`a []*entitytest.Tree refers back to itself at [0].Left.Left`:                     []*entitytest.Tree{branch},
	} {
		b, err := codec{}.Marshal(v)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > encoding.MaxErrorText {
			t.Errorf("a %T became %d bytes, %v, want %s", v, len(b), err, want)
		}
	}
}

func TestDeepValues(t *testing.T) {
	chain := func(n int) (head *entitytest.Tree) {
		for range n {
			head = &entitytest.Tree{Left: head}
		}
		return head
	}
	var got *entitytest.Tree
	if err := (codec{}).Unmarshal(mustMarshal(t, codec{}, chain(6000)), &got); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; got != nil; got = got.Left {
		n++
	}
	if n != 6000 {
		t.Errorf("a chain of 6000 came back as %d", n)
	}
	if _, err := (codec{}).Marshal(chain(encoding.MaxDepth + 1)); err == nil || !strings.Contains(err.Error(), "nests deeper than") {
		t.Errorf("a chain that is too long: %v", err)
	}
}
