package cache

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// keyBuffer holds the text of a key for as long as it is looked up in a local store that
// does not keep it. Most reads need no more than that: only a miss makes a string of it.
type keyBuffer struct{ text []byte }

var keyBuffers = sync.Pool{New: func() any { return &keyBuffer{make([]byte, 0, 128)} }}

// maxKeyBuffer is the length of the longest buffer that is used again.
const maxKeyBuffer = 4 << 10

// newKeyBuffer returns a buffer with the key of an id.
func newKeyBuffer[K comparable](prefix, separator string, id K) *keyBuffer {
	b := keyBuffers.Get().(*keyBuffer)
	b.text = appendKey(b.text[:0], prefix, separator, id)
	return b
}

// view returns the key in the buffer's own memory, which release gives to others.
func (b *keyBuffer) view() string { return unsafe.String(unsafe.SliceData(b.text), len(b.text)) }

// key returns the key in memory of its own.
func (b *keyBuffer) key() string { return string(b.text) }

func (b *keyBuffer) release() {
	if cap(b.text) <= maxKeyBuffer {
		keyBuffers.Put(b)
	}
}

// checkKey is the function checkKey. It also says whether the key is longer than the cache allows, whether
// it is that of the channel's token or members and, where fences or leases are on, whether it can have
// one, and whether it is one.
func (c *jetCache) checkKey(key string) error {
	if most := c.entry.maxKeyBytes; most > 0 && len(key) > most {
		return fmt.Errorf("%w: %s has %d bytes, and WithMaxKeyBytes allows %d", ErrInvalidKey, quote.Key(key), len(key), most)
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if s := &c.Options.sync; s.token != "" && (key == s.token || key == s.members) {
		return fmt.Errorf("%w: %s is the key of the token, or of the members, of the channel on which the cache tells other nodes of changes; give it, or the channel, another name", ErrInvalidKey, quote.Key(key))
	}
	// Only with a "}" can there be something wrong, and most keys have none.
	if (c.maxLoad > 0 || c.leaseTTL > 0) && strings.Contains(key, "}") {
		if whose := reserved(key); whose != "" {
			return fmt.Errorf("%w: %s is the name of %s, which would overwrite the value; with WithFence or WithLease, no key that ends in \"#f\", \"#l\" or \"#who\" may have a hash tag before that, so give it another end", ErrInvalidKey, quote.Key(key), whose)
		}
		if _, ok := remote.FenceKey(key); !ok {
			return fmt.Errorf("%w: %s has a \"}\" but no hash tag, so nothing beside it can be in its slot of a cluster, and WithFence and WithLease need that; leave the \"}\" out, or put a part of the key in braces", ErrInvalidKey, quote.Key(key))
		}
	}
	return nil
}

// reserved says what the library itself stores under key, "" if nothing. Every such key has a "}".
func reserved(key string) string {
	switch {
	case !remote.IsSideKey(key):
		return ""
	case strings.HasSuffix(key, "#who"):
		return "the members of a channel"
	}
	return "a fence or a lease"
}

func checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: it is empty", ErrInvalidKey)
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: %s is not UTF-8 text; encode binary keys, for example in hexadecimal", ErrInvalidKey, quote.Key(key))
	}
	return nil
}

// appendKey appends to b the key of an id: a prefix, the separator, and the id as fmt.Sprint
// prints it.
func appendKey[K comparable](b []byte, prefix, separator string, id K) []byte {
	b = append(append(b, prefix...), separator...)
	switch id := any(id).(type) {
	case string:
		return append(b, id...)
	case int:
		return strconv.AppendInt(b, int64(id), 10)
	case int64:
		return strconv.AppendInt(b, id, 10)
	case int32:
		return strconv.AppendInt(b, int64(id), 10)
	case uint:
		return strconv.AppendUint(b, uint64(id), 10)
	case uint64:
		return strconv.AppendUint(b, id, 10)
	case uint32:
		return strconv.AppendUint(b, uint64(id), 10)
	}
	return appendOther(b, id)
}

// hasNoText returns why values of type t do not have texts of their own, "" if they have.
func hasNoText(t reflect.Type) string {
	if marshalsText(t) {
		return ""
	}
	return printsAlike(t)
}

// printsAlike returns why fmt.Sprint may print two values of type t alike, or one value in two
// ways, "" if it does not.
func printsAlike(t reflect.Type) string {
	if printsItself(t) {
		return ""
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.UnsafePointer:
		return "a " + kindNames[t.Kind()] + " has no text of its own"
	case reflect.Array:
		return printsAlike(t.Elem())
	}
	return ""
}

// kindNames names the kinds of which values have no text of their own.
var kindNames = map[reflect.Kind]string{
	reflect.Struct: "struct", reflect.Pointer: "pointer", reflect.Interface: "value in an interface",
	reflect.Chan: "channel", reflect.UnsafePointer: "pointer",
}

// promotes reports whether t is a struct that has a method only because it embeds a type that has
// it, and has other fields besides: that method does not print those.
func promotes(t reflect.Type, method string) bool {
	if t.Kind() != reflect.Struct || t.NumField() < 2 {
		return false
	}
	m, ok := t.MethodByName(method)
	if !ok {
		return false
	}
	// The compiler writes the methods that are promoted; they stand in no file. The frames of what
	// it has inlined come before that of the method itself.
	frames := runtime.CallersFrames([]uintptr{m.Func.Pointer() + 1})
	for {
		frame, more := frames.Next()
		if !more {
			return frame.File == "<autogenerated>"
		}
	}
}

// printsItself reports whether fmt.Sprint calls a method of t.
func printsItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[fmt.Stringer]()) && !promotes(t, "String") ||
		t.Implements(reflect.TypeFor[error]()) && !promotes(t, "Error") ||
		t.Implements(reflect.TypeFor[fmt.Formatter]()) && !promotes(t, "Format")
}

func marshalsText(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) && !promotes(t, "MarshalText")
}

// marshaledText returns the text of an id whose type has no other: fmt.Sprint would print what is
// in it, without the marks that tell one from another.
func marshaledText(id any) (text []byte, ok bool) {
	t := reflect.TypeOf(id)
	if t == nil || printsItself(t) || !marshalsText(t) {
		return nil, false
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Array:
		text, err := id.(encoding.TextMarshaler).MarshalText()
		if err != nil { // no two such ids may share a key: this is none
			return invalidText, true
		}
		return text, true
	}
	return nil, false
}

// invalidText is in no valid key.
var invalidText = []byte{0xff}

// mayShareText reports whether ids of type t that are not equal may have the same text: any(1)
// and any("1") do, ["a b" "c"] and ["a" "b c"] do, NaN does not even equal itself, and a method may
// print two values alike. Arrays of bytes, such as UUIDs, are taken to print what they are.
func mayShareText(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface, reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Array:
		return t.Elem().Kind() == reflect.String || t.Elem().Kind() != reflect.Uint8 && mayShareText(t.Elem())
	}
	return printsItself(t) || marshalsText(t)
}

// withOwnKey returns those of ids whose key is that of no other id of the batch, and that can be
// the keys of a map. The error says why others are left out.
func withOwnKey[K comparable](ids []K, key func(id K) string) (own []K, err error) {
	if !mayShareText(reflect.TypeFor[K]()) {
		return ids, nil
	}
	owners := make(map[string]K, len(ids))
	shared := make(map[string]error)
	keys := make([]string, len(ids))
	for i, id := range ids {
		text := key(id)
		keys[i] = text
		if !reflect.ValueOf(&id).Elem().Comparable() {
			shared[text] = fmt.Errorf("%w: %s: an id of type %T cannot be the key of a map, so it cannot be in a batch", ErrInvalidKey, quote.Key(text), id)
			continue
		}
		owner, owned := owners[text]
		isNaN := id != id //nolint:gocritic,revive // NaN is the value that does not equal itself
		if isNaN || owned && owner != id {
			shared[text] = fmt.Errorf("%w: %s is the key of ids that are not equal, so they cannot be in one batch", ErrInvalidKey, quote.Key(text))
		}
		owners[text] = id
	}
	for i, id := range ids {
		if shared[keys[i]] == nil {
			own = append(own, id)
		}
	}
	var errs []error
	for _, text := range slices.Sorted(maps.Keys(shared)) {
		errs = append(errs, shared[text])
	}
	return own, errors.Join(errs...)
}

// appendOther appends ids of less common types. A type with methods may print itself.
func appendOther[K comparable](b []byte, id K) []byte {
	if t := reflect.TypeFor[K](); t.NumMethod() == 0 {
		switch v := reflect.ValueOf(id); t.Kind() {
		case reflect.String:
			return append(b, v.String()...)
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			return strconv.AppendInt(b, v.Int(), 10)
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			return strconv.AppendUint(b, v.Uint(), 10)
		}
	}
	if text, ok := marshaledText(id); ok {
		return append(b, text...)
	}
	return fmt.Append(b, id)
}
