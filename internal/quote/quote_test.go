package quote

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestKey(t *testing.T) {
	a := strings.Repeat("a", 127)
	for in, want := range map[string]string{
		"":                                   `""`,
		"user:1":                             `"user:1"`,
		"a\"b\n\x00\xff":                     `"a\"b\n\x00\xff"`,
		a + "b":                              `"` + a + `b"`,
		a + "bc":                             `"` + a + `b"... (129 bytes)`,
		a + "äbc":                            `"` + a + `"... (131 bytes)`, // ä has two bytes
		a[:125] + "😀b":                       `"` + a[:125] + `"... (130 bytes)`,
		a[:124] + "😀b":                       `"` + a[:124] + `😀"... (129 bytes)`,
		a + "a\xff":                          `"` + a + `a"... (129 bytes)`,
		a[:120] + strings.Repeat("\x80", 20): `"` + a[:120] + strings.Repeat(`\x80`, 8) + `"... (140 bytes)`,
		strings.Repeat("x", 1<<20):           `"` + strings.Repeat("x", 128) + `"... (1048576 bytes)`,
	} {
		if got := Key(in); got != want {
			t.Errorf("%.200q is %s, want %s", in, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	for want, in := range map[string][]string{
		`[]`:          nil,
		`["a"]`:       {"a"},
		`["a" "b c"]`: {"a", "b c"},
		`["0" "1" "2" "3" "4" "5" "6" "7" "8" "9"]`:                 strings.Split("0123456789", ""),
		`["0" "1" "2" "3" "4" "5" "6" "7" "8" "9" ... (11 in all)]`: strings.Split("0123456789x", ""),
	} {
		if got := Keys(in); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for in, want := range map[string]string{
		"":                                  "",
		"a text, just so":                   "a text, just so",
		"two\nlines":                        "two lines",
		"\n two\r\n\tlines\x1b[2J\u2028x\n": "two lines [2J x",
		"no UTF-8: \xff":                    "no UTF-8: \ufffd",
		long:                                long,
		long + "y":                          long + "... (1025 bytes)",
		long[:1023] + "ä":                   long[:1023] + "... (1025 bytes)",
	} {
		got := Line(in)
		if got != want {
			t.Errorf("%.100q is %.100q, want %.100q", in, got, want)
		}
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%.100q is no line of UTF-8", got)
		}
	}
}
