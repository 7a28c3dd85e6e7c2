//go:build race

// Package racing tells tests whether the race detector is on, which allocates.
package racing

// Enabled says that this is a build with -race.
const Enabled = true
