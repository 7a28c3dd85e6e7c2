package util

import "unsafe"

// String returns b as a string without a copy. Nobody may change b afterwards, or the string
// changes, too. For a nil b it returns "".
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Bytes returns s as a slice without a copy. Nobody may change the slice: the string would
// change, too, and the process is ended if the string is a constant. An append to the slice
// copies it. For "" it returns an empty slice that is not nil.
func Bytes(s string) []byte {
	if s == "" {
		return []byte{} // the data of an empty string may be nil
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
