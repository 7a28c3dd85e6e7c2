package remote_test

import (
	"testing"

	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestFenceKey(t *testing.T) {
	for key, want := range map[string]string{
		"user:1":      "{user:1}#f",
		"user:{1}":    "user:{1}#f",
		"{user:1}:x":  "{user:1}:x#f",
		"a{b}c}d":     "a{b}c}d#f",
		"a{":          "{a{}#f",
		"a{b{c":       "{a{b{c}#f",
		"a}b":         "",
		"a{}b":        "",
		"a}{b}":       "a}{b}#f",
		"a{}{b}":      "",
		"}":           "",
		"ключ с {и}":  "ключ с {и}#f",
		"no brace #f": "{no brace #f}#f",
	} {
		got, ok := remote.FenceKey(key)
		if got != want || ok != (want != "") {
			t.Errorf("FenceKey(%q) = %q, %v, want %q", key, got, ok, want)
		}
	}
	if got, _ := remote.LeaseKey("user:1"); got != "{user:1}#l" {
		t.Errorf(`LeaseKey("user:1") = %q`, got)
	}
}
