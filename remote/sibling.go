package remote

import "strings"

// The suffixes of the keys that stand beside another.
const (
	fenceSuffix = "#f"
	leaseSuffix = "#l"
)

// FenceKey returns the key of key's fence, which is in the same hash slot of a cluster:
// "{key}#f", or "key#f" where key has a hash tag. It reports false where there is no such key,
// for one that has a "}" but no hash tag.
func FenceKey(key string) (string, bool) { return sibling(key, fenceSuffix) }

// LeaseKey returns the key of key's lease, as FenceKey does: "{key}#l", or "key#l".
func LeaseKey(key string) (string, bool) { return sibling(key, leaseSuffix) }

// sibling returns a key in the hash slot of key. The slot is that of what stands between the
// first "{" and the first "}" behind it, unless that is nothing, and otherwise of the whole
// key: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
func sibling(key, suffix string) (string, bool) {
	if hasHashTag(key) {
		return key + suffix, true
	}
	if strings.Contains(key, "}") {
		return "", false // in braces, it would end at its own
	}
	return "{" + key + "}" + suffix, true
}

func hasHashTag(key string) bool { return hashed(key) != key }

// hashed returns what of key decides about its slot: its hash tag, or all of it.
func hashed(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	if tag, _, closed := strings.Cut(rest, "}"); closed && tag != "" {
		return tag
	}
	return key
}

// siblingOf returns the key that of, which is FenceKey or LeaseKey, makes of key.
func siblingOf(key string, of func(string) (string, bool)) (string, error) {
	if s, ok := of(key); ok {
		return s, nil
	}
	return "", ErrNoSibling
}
