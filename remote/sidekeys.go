package remote

import "strings"

// A side key stands beside another key, in the same hash slot of a cluster. The suffix says what it
// is.
const (
	fenceSuffix = "#f"
	leaseSuffix = "#l"
	// Of a channel.
	tokenSuffix   = "#seq"
	membersSuffix = "#who"
)

// FenceKey returns the key of key's fence, which is in the same hash slot of a cluster: "{key}#f",
// or "key#f" if key has a hash tag. It reports false if there is no such key. That is so for a key
// that has a "}" but no hash tag.
func FenceKey(key string) (string, bool) { return sideKey(key, fenceSuffix) }

// LeaseKey returns the key of key's lease, by the rule of FenceKey: "{key}#l" or "key#l".
func LeaseKey(key string) (string, bool) { return sideKey(key, leaseSuffix) }

// TokenKey returns the key of a channel's token, by the rule of FenceKey: "{channel}#seq" or "channel#seq".
// The node that publishes on the channel counts the messages there.
func TokenKey(channel string) (string, bool) { return sideKey(channel, tokenSuffix) }

// MembersKey returns the key of a channel's members, by the rule of FenceKey: "{channel}#who" or
// "channel#who". See Presence.
func MembersKey(channel string) (string, bool) { return sideKey(channel, membersSuffix) }

// IsSideKey reports whether key is the name of a fence or of a lease: whether there is a key, other
// than the empty one, of which FenceKey or LeaseKey makes it. So it ends in "#f" or "#l", and has a
// hash tag before that. It also reports the names of the members of channels (Presence), which end in
// "#who". Do not store values under such keys beside keys with fences or leases.
func IsSideKey(key string) bool {
	base, ok := strings.CutSuffix(key, fenceSuffix)
	if !ok {
		base, ok = strings.CutSuffix(key, leaseSuffix)
	}
	if !ok {
		base, ok = strings.CutSuffix(key, membersSuffix)
	}
	// The side key of a key without a hash tag is that of the key in braces, too.
	return ok && hasHashTag(base)
}

// sideKey returns a key in the hash slot of key. The slot is that of the hash tag: the text between
// the first "{" and the first "}" after it. If there is no such text, or if it is empty, the slot
// is that of the whole key.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
func sideKey(key, suffix string) (string, bool) {
	if hasHashTag(key) {
		return key + suffix, true
	}
	if strings.Contains(key, "}") {
		return "", false // in "{" and "}", the hash tag would end at the key's own "}"
	}
	return "{" + key + "}" + suffix, true
}

func hasHashTag(key string) bool { return hashed(key) != key }

// hashed returns the part of key that decides its slot: the hash tag, or the whole key.
func hashed(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	if tag, _, closed := strings.Cut(rest, "}"); closed && tag != "" {
		return tag
	}
	return key
}

// sideKeyOf returns the side key that of makes of key; of is FenceKey or LeaseKey. It returns
// ErrNoSibling if there is none.
func sideKeyOf(key string, of func(string) (string, bool)) (string, error) {
	if s, ok := of(key); ok {
		return s, nil
	}
	return "", ErrNoSibling
}
