//go:build !race

// Package racing says whether the race detector is on, for tests that count allocations: the
// detector allocates.
package racing

// Enabled reports whether this is a build with -race.
const Enabled = false
