package util

import "maps"

// MergeMap returns a new map with the entries of all maps. If several maps have a key, the
// value of the last one is taken. A nil map counts as empty. The result is never nil. The maps are
// not changed, and must not be changed by others during the call.
func MergeMap[K comparable, V any](all ...map[K]V) map[K]V {
	size := 0
	for _, m := range all {
		size = max(size, len(m))
	}
	merged := make(map[K]V, size)
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}
