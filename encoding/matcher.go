package encoding

// FieldMatcher is an optional ability of a Codec: it tells an object that was stored from another
// type, of which nothing fits, from one whose fields are all zero. Codecs skip fields that they
// do not know, so both decode to a zero struct without an error. The codecs msgpack, msgp, json
// and sonic are FieldMatchers.
//
// A cache asks only when a decoded struct is its zero value.
type FieldMatcher interface {
	// MatchesNoField reports whether data, which Unmarshal has decoded into v without an error,
	// is an object with at least one field, of which none is a field of v's struct. It reports
	// false if v does not point to a struct that is decoded field by field, such as a type that
	// decodes itself. It may be called concurrently.
	MatchesNoField(data []byte, v any) bool
}
