package cache_test

import (
	"os/exec"
	"strings"
	"testing"
)

// allowed are the modules that a program which imports the root package links. Each is
// named with its reason in docs/architecture.md.
var allowed = []string{
	"github.com/mgtv-tech/jetcache-go",
	"github.com/cespare/xxhash/v2",        // of ristretto and go-redis
	"github.com/coocood/freecache",        // local.FreeCache
	"github.com/dgraph-io/ristretto/v2",   // local.TinyLFU
	"github.com/dustin/go-humanize",       // of ristretto
	"github.com/klauspost/compress",       // S2 in the codec msgpack
	"github.com/maypok86/otter/v2",        // local.Otter
	"github.com/redis/go-redis/v9",        // remote.GoRedisV9Adapter
	"github.com/vmihailenco/msgpack/v5",   // the codec msgpack
	"github.com/vmihailenco/tagparser/v2", // of msgpack
	"go.uber.org/atomic",                  // of go-redis
	"golang.org/x/sync",                   // singleflight
	"golang.org/x/sys",                    // of ristretto
}

func TestTheRootLinksOnlyWhatIsAllowed(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	linked := map[string]bool{}
	for _, path := range strings.Fields(string(out)) {
		linked[path] = true
	}
	for _, path := range allowed {
		if !linked[path] {
			t.Errorf("%s is allowed but not linked: take it off the list", path)
		}
		delete(linked, path)
	}
	for path := range linked {
		t.Errorf("%s is linked but not allowed", path)
	}
}

func TestImportsRunDownhill(t *testing.T) {
	const module = "github.com/mgtv-tech/jetcache-go"
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Fields(line)
		from, example := strings.TrimPrefix(fields[0], module), strings.Contains(fields[0], "/examples/")
		forTests := strings.HasSuffix(from, "test") || strings.HasPrefix(from, "/internal/test/")
		for _, to := range fields[1:] {
			inner := strings.TrimPrefix(to, module)
			switch {
			case !forTests && (to == "testing" || strings.HasPrefix(to, module) && strings.HasSuffix(to, "test")):
				t.Errorf("%s imports %s, which is for tests", fields[0], to)
			case to == module && !example:
				t.Errorf("%s imports the root", fields[0])
			case strings.HasPrefix(from, "/local") && strings.HasPrefix(inner, "/remote"), strings.HasPrefix(from, "/remote") && strings.HasPrefix(inner, "/local"):
				t.Errorf("%s imports %s", fields[0], to)
			}
		}
	}
}
