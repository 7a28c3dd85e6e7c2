package remote

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mgtv-tech/jetcache-go/internal/quote"
)

// ErrUnsupported means that the server or the client cannot do what was asked, or does not allow
// it. Errors of Publish, Subscribe and Track wrap it. Trying again does not help.
var ErrUnsupported = errors.New("remote: not supported")

// ErrNoSibling means that a key can have neither a fence nor a lease: FenceKey and LeaseKey report
// false for it. The methods of Fencer and Leaser return it for the key, in a KeysError.
var ErrNoSibling = errors.New(`remote: a key with "}" and without a hash tag has no other key in its hash slot`)

// ErrFenceLost means that a fence was not closed any more when it was reopened: its ttl had passed, or
// the server had evicted it. ReopenFences returns it for the key, in a KeysError. The key was removed
// all the same.
var ErrFenceLost = errors.New("remote: the fence was not closed any more")

// KeysError is the error of a call with many keys, some of which failed. For the other keys the
// call has done its work.
type KeysError struct {
	Op     string           // the operation, such as "get"
	Failed map[string]error // by key
}

// maxErrors is how many different errors the text of a KeysError has.
const maxErrors = 5

// Error returns a text of bounded length: the number of keys, and up to five different errors, each
// with one of its keys. Keys that fail for the same reason, such as a broken connection, make one
// error.
func (e *KeysError) Error() string {
	errs := e.distinct()
	texts := make([]string, 0, maxErrors+1)
	for _, err := range errs[:min(len(errs), maxErrors)] {
		texts = append(texts, err.Error())
	}
	if more := len(errs) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more errors", more))
	}
	return fmt.Sprintf("remote: %s: %d keys failed: %s", e.Op, len(e.Failed), strings.Join(texts, "; "))
}

// Unwrap returns the errors. Of several errors with the same text it returns one.
func (e *KeysError) Unwrap() []error { return e.distinct() }

func (e *KeysError) distinct() (errs []error) {
	seen := make(map[string]bool)
	for _, key := range slices.Sorted(maps.Keys(e.Failed)) {
		if err := e.Failed[key]; !seen[err.Error()] {
			seen[err.Error()] = true
			errs = append(errs, fmt.Errorf("%s: %w", quote.Key(key), err))
		}
	}
	return errs
}
