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

func TestTokenKey(t *testing.T) {
	for channel, want := range map[string]string{"ch": "{ch}#seq", "a{ch}": "a{ch}#seq", "a}": ""} {
		if got, ok := remote.TokenKey(channel); got != want || ok != (want != "") {
			t.Errorf("TokenKey(%q) = %q, %v", channel, got, ok)
		}
	}
}

func TestMembersKey(t *testing.T) {
	for channel, want := range map[string]string{"ch": "{ch}#who", "a{ch}": "a{ch}#who", "a}": ""} {
		if got, ok := remote.MembersKey(channel); got != want || ok != (want != "") {
			t.Errorf("MembersKey(%q) = %q, %v", channel, got, ok)
		}
	}
}

func TestIsSideKey(t *testing.T) {
	for key, want := range map[string]bool{
		"{user:1}#f": true, "{user:1}#l": true, // of "user:1", and of "{user:1}"
		"user:{1}#f": true, "{user:1}:x#l": true, "a}{b}#f": true, "{a{b}#l": true,
		"{a}#f#f":    true, // of "{a}#f"
		"{news}#who": true, "a{b}c#who": true, "news#who": false, "{a}who": false, "a{}b#who": false,
		"user:1": false, "{user:1}": false, "user:{1}": false,
		"user:1#f": false, "user:1#l": false, "#f": false, "#l": false, "f": false, "": false,
		"{user:1}#F": false, "{user:1}#fx": false, "{user:1}f": false, "{user:1}#seq": false,
		"a}b#f": false, "{a#f": false, "a{}b#f": false, "{a#f}": false, // nothing has this side key
	} {
		if got := remote.IsSideKey(key); got != want {
			t.Errorf("IsSideKey(%q) = %t", key, got)
		}
	}
}

// A name is one of a side key if and only if there is a key that has it.
func TestIsSideKeyIsExact(t *testing.T) {
	const letters = "{}#fl"
	keys := []string{""}
	for from := 0; len(keys[from]) < 6; from++ {
		for _, letter := range letters {
			keys = append(keys, keys[from]+string(letter))
		}
	}
	names := make(map[string]bool)
	for _, key := range keys[1:] { // the empty key is none
		for _, of := range []func(string) (string, bool){remote.FenceKey, remote.LeaseKey} {
			if name, ok := of(key); ok {
				names[name] = true
				if !remote.IsSideKey(name) {
					t.Fatalf("%q is a side key of %q", name, key)
				}
			}
		}
	}
	for _, key := range keys {
		if remote.IsSideKey(key) != names[key] { // the key of a side key is shorter, so names has all
			t.Fatalf("%q is a side key: %t", key, names[key])
		}
	}
}

func TestIsSideKeyAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { remote.IsSideKey("{user:1}:profile#f") }); n > 0 {
		t.Errorf("it allocates %g times", n)
	}
}
