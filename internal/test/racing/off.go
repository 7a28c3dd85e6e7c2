//go:build !race

package racing

// Enabled says that this is a build with -race.
const Enabled = false
