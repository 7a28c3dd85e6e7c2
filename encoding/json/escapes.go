package json

import "bytes"

// asSonic replaces the escapes in text, which is JSON, that sonic writes in another form. It
// changes no value.
func asSonic(text []byte) []byte {
	at := bytes.IndexByte(text, '\\')
	if at < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for {
		out, text = append(out, text[:at]...), text[at:]
		escape := text[:min(len(text), 2)]
		switch {
		case bytes.HasPrefix(text, []byte(`\b`)):
			out = append(out, `\u0008`...)
		case bytes.HasPrefix(text, []byte(`\f`)):
			out = append(out, `\u000c`...)
		case bytes.HasPrefix(text, []byte(`\u2028`)):
			out, escape = append(out, "\u2028"...), text[:6]
		case bytes.HasPrefix(text, []byte(`\u2029`)):
			out, escape = append(out, "\u2029"...), text[:6]
		default:
			out = append(out, escape...)
		}
		text = text[len(escape):]
		if at = bytes.IndexByte(text, '\\'); at < 0 {
			return append(out, text...)
		}
	}
}
