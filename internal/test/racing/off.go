//go:build !race

package racing

// Enabled reports whether this is a build with -race.
const Enabled = false
