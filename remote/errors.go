package remote

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrUnsupported is wrapped by errors that say that the server or the client cannot do what
// was asked, or does not allow it.
var ErrUnsupported = errors.New("remote: not supported")

// ErrNoSibling is the error of a key that can have neither a fence nor a lease: FenceKey and
// LeaseKey report false for it. The methods of Fencer and Leaser return it in a KeysError.
var ErrNoSibling = errors.New(`remote: a key with "}" and without a hash tag has no other key in its hash slot`)

// KeysError is the error of a call with many keys of which some could not be handled. For the
// others, the call has done its work.
type KeysError struct {
	Op     string           // what was done, such as "get"
	Failed map[string]error // by key
}

// Error names the errors, each with one of the keys that have it: a broken connection fails all
// keys alike.
func (e *KeysError) Error() string {
	return fmt.Sprintf("remote: %s: %d keys failed: %v", e.Op, len(e.Failed), errors.Join(e.distinct()...))
}

// Unwrap returns the errors, one of each text.
func (e *KeysError) Unwrap() []error { return e.distinct() }

func (e *KeysError) distinct() (errs []error) {
	seen := make(map[string]bool)
	for _, key := range slices.Sorted(maps.Keys(e.Failed)) {
		if err := e.Failed[key]; !seen[err.Error()] {
			seen[err.Error()] = true
			errs = append(errs, fmt.Errorf("%q: %w", key, err))
		}
	}
	return errs
}
