package util

import (
	"fmt"
	"math/rand/v2"
)

// SafeRand is a source of random numbers. It is seeded by the runtime, so two processes draw
// different numbers. Its zero value is ready, and its methods may be called concurrently. It is
// not meant for secrets, such as passwords and session keys: use crypto/rand for those.
type SafeRand struct{}

// NewSafeRand returns a SafeRand.
func NewSafeRand() *SafeRand { return &SafeRand{} }

// Int63n returns a random number in [0, n), each with the same chance. It panics if n is zero
// or less.
func (*SafeRand) Int63n(n int64) int64 {
	if n <= 0 {
		panic(fmt.Sprintf("util: Int63n(%d): there is no number in [0, %d); give 1 or more", n, n))
	}
	return rand.Int64N(n)
}

// hexDigits is the alphabet of RandN.
const hexDigits = "0123456789abcdef"

// RandN returns a random string of n characters. Each of them is one of the sixteen hexadecimal
// digits 0 to 9 and a to f. If n is zero or less, it returns "".
func (*SafeRand) RandN(n int) string {
	if n <= 0 {
		return ""
	}
	text := make([]byte, n)
	for i := 0; i < n; i += 16 {
		bits := rand.Uint64() // enough for 16 digits
		for j := i; j < min(i+16, n); j++ {
			text[j] = hexDigits[bits%16]
			bits /= 16
		}
	}
	return String(text)
}
