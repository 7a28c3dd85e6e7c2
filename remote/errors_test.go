package remote_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mgtv-tech/jetcache-go/remote"
)

func TestTheTextOfAKeysError(t *testing.T) {
	boom := errors.New("boom")
	for want, failed := range map[string]map[string]error{
		`remote: get: 1 keys failed: "a": boom`:            {"a": boom},
		`remote: get: 3 keys failed: "a": boom`:            {"a": boom, "b": boom, "c": errors.New("boom")},
		`remote: get: 3 keys failed: "a": of a; "b": boom`: {"a": errors.New("of a"), "b": boom, "c": boom},
	} {
		if got := (&remote.KeysError{Op: "get", Failed: failed}).Error(); got != want {
			t.Errorf("the text is %s, want %s", got, want)
		}
	}
}

// The text has a bounded length and one line, but errors.Is finds every error.
func TestAKeysErrorWithManyErrors(t *testing.T) {
	last := errors.New("the last error")
	failed := map[string]error{strings.Repeat("z", 100_000): last}
	for i := range 1000 {
		failed[fmt.Sprintf("%04d%s", i, strings.Repeat("\n", 10_000))] = fmt.Errorf("error %d", i)
	}
	err := error(&remote.KeysError{Op: "set", Failed: failed})
	text := err.Error()
	if len(text) > 5000 || strings.Contains(text, "\n") || !strings.Contains(text, "1001 keys failed") || !strings.HasSuffix(text, "; and 996 more errors") {
		t.Errorf("the text has %d bytes: %.300q", len(text), text)
	}
	if !errors.Is(err, last) {
		t.Error("an error that the text does not name is not found")
	}
}
