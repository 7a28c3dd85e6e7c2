// Package quote bounds what error texts and log lines repeat: keys, and texts that come from
// elsewhere. Both can be of any length and have any bytes in them.
package quote

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxKey is how many bytes of a key are repeated.
	maxKey = 128
	// maxLine is how many bytes of a text are repeated.
	maxLine = 1024
)

// Key returns s quoted like %q. Of a key longer than 128 bytes it quotes the beginning and says
// how long the key is: "abc"... (5000 bytes).
func Key(s string) string {
	if len(s) <= maxKey {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q... (%d bytes)", cut(s, maxKey), len(s))
}

// Keys returns keys quoted as Key does, separated by spaces and in brackets: ["a" "b"]. Of more
// than 10 keys it quotes the first 10 and says how many there are.
func Keys(keys []string) string {
	const most = 10
	var b strings.Builder
	b.WriteByte('[')
	for i, key := range keys[:min(len(keys), most)] {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(Key(key))
	}
	if len(keys) > most {
		fmt.Fprintf(&b, " ... (%d in all)", len(keys))
	}
	b.WriteByte(']')
	return b.String()
}

// Line returns s as one line. Control characters, line breaks among them, become spaces, and a
// run of them becomes one space. Of a text longer than 1024 bytes it returns the beginning and
// says how long the text is: abc... (5000 bytes).
func Line(s string) string {
	text := s
	if len(s) > maxLine {
		text = cut(s, maxLine)
	}
	var b strings.Builder
	b.Grow(len(text))
	space := false
	for _, r := range strings.TrimSpace(text) {
		if breaks(r) {
			space = true
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r) // a byte that is no UTF-8 becomes U+FFFD
	}
	if len(s) > maxLine {
		fmt.Fprintf(&b, "... (%d bytes)", len(s))
	}
	return b.String()
}

// breaks reports whether r may end a line or move the cursor of a terminal.
func breaks(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' // the line and paragraph separators of Unicode
}

// cut returns at most the first n bytes of s, without a part of a rune at the end.
func cut(s string, n int) string {
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n] // it is no UTF-8
}
