package bound

import (
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// MaxErrorText is how many bytes of text an error of a codec may have: 1 KiB.
const MaxErrorText = 1 << 10

// Wrap returns err with the codec's name in front of its text, and with a text of at most
// MaxErrorText bytes.
func Wrap(codec string, err error) error { return Trim(fmt.Errorf("%s: %w", codec, err)) }

// Trim returns err with a text of at most MaxErrorText bytes, and nil for nil. If the text is
// longer, Trim wraps err in an error that leaves out the middle of it. errors.Is and errors.As
// still find err. If err is an error of the standard library that would quote a long value,
// Trim does not ask it for its text.
func Trim(err error) error {
	if err == nil {
		return nil
	}
	if text := quoted(err); text != "" {
		return &trimmed{text, err}
	}
	if text := err.Error(); len(text) > MaxErrorText {
		return &trimmed{shorten(text), err}
	}
	return err
}

// trimmed is an error with a shorter text.
type trimmed struct {
	text string
	err  error
}

func (t *trimmed) Error() string { return t.text }
func (t *trimmed) Unwrap() error { return t.err }

// keptEnd is how many bytes Trim keeps of the end of a long text, where the reason is.
const keptEnd = 256

// shorten leaves out the middle of a text that is longer than MaxErrorText.
func shorten(text string) string {
	end := text[len(text)-keptEnd:]
	for end != "" && !utf8.RuneStart(end[0]) {
		end = end[1:]
	}
	gap := fmt.Sprintf(" [%d bytes in all, shortened] ", len(text))
	start := text[:MaxErrorText-len(gap)-keptEnd]
	for n := len(start); n > 0 && n > len(start)-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			start = text[:n]
			break
		}
	}
	return start + gap + end
}

// quoting has the packages of the standard library whose errors hold the text that could not be
// parsed. Their method Error quotes that text with escapes, which is slow and takes memory.
var quoting = map[string]bool{"net": true, "net/netip": true, "net/url": true, "strconv": true, "time": true}

// quoted returns a text for an error that would quote a long value, and "" for any other error.
func quoted(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.Indirect(reflect.ValueOf(err))
		if v.Kind() != reflect.Struct || !quoting[v.Type().PkgPath()] {
			continue
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String && f.Len() > MaxErrorText/4 {
				return fmt.Sprintf("%T: a text of %d bytes is not valid, it begins with %.64q", err, f.Len(), f.String())
			}
		}
	}
	return ""
}
