package cache_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The layout of the module, as docs/architecture.md describes it. These tests read the code
// itself: the go command says what imports what, and package types resolves each method call.

const modulePath = "github.com/mgtv-tech/jetcache-go"

// allowed are the modules that a program which imports the root package links. Each is
// named with its reason in docs/architecture.md.
var allowed = []string{
	modulePath,
	"github.com/cespare/xxhash/v2",        // of ristretto and go-redis
	"github.com/coocood/freecache",        // local.FreeCache
	"github.com/dgraph-io/ristretto/v2",   // local.TinyLFU
	"github.com/dustin/go-humanize",       // of ristretto
	"github.com/klauspost/compress",       // S2 in the codec msgpack
	"github.com/maypok86/otter/v2",        // local.Otter
	"github.com/redis/go-redis/v9",        // remote.GoRedisV9Adapter
	"github.com/sony/gobreaker/v2",        // WithRemoteBreaker
	"github.com/vmihailenco/msgpack/v5",   // the codec msgpack
	"github.com/vmihailenco/tagparser/v2", // of msgpack
	"go.uber.org/atomic",                  // of go-redis
	"golang.org/x/sync",                   // singleflight
	"golang.org/x/sys",                    // of ristretto
}

// layers are the production packages, from top to bottom, by their paths within the module; the
// root is ".". A package imports only packages of lower layers. So packages of one layer do not
// know each other.
var layers = [][]string{
	{"examples/codec", "examples/entity", "examples/events", "examples/fleet", "examples/hotkey", "examples/outage", "examples/quickstart", "examples/replay"},
	{"examples/internal/demoredis"},
	{"."},
	// The mechanisms.
	{"internal/load", "internal/repair"},
	{"internal/coherence", "internal/fence", "internal/lease"},
	{"internal/level"},
	{"internal/link", "internal/observe", "internal/record", "internal/schedule"},
	{"internal/doubt", "internal/flight", "internal/throttle"},
	// The contracts.
	{"encoding/msgp", "encoding/json", "encoding/sonic"},
	{"encoding/msgpack"},
	{"encoding/internal/jsontext"},
	{"encoding/internal/nesting", "encoding/internal/wire", "encoding", "local", "remote", "stats", "util"},
	{"logger"},
	// The leaves.
	{"encoding/internal/bound", "encoding/internal/fields", "internal/gate", "internal/jitter", "internal/limit", "internal/quote", "internal/shape"},
}

// contracts is the highest layer that a package for tests may import: such a package tests
// implementations, and must not depend on how the cache works.
const contracts = "encoding/msgp"

// forTests reports whether a package is for tests. No production package imports one, but for
// the entries of testToolsOfExamples.
func forTests(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || strings.HasPrefix(pkg, "internal/test/")
}

// testToolsOfExamples are the packages for tests that examples may import. The proxy is how
// examples/fleet cuts the link of a node. It does not import package testing.
var testToolsOfExamples = []string{"internal/test/faultproxy"}

// goPackage is what the go command says of a package.
type goPackage struct {
	ImportPath, Dir, Export string
	GoFiles, IgnoredGoFiles []string
	Imports, Deps           []string
	Module                  *struct{ Path string }
}

// pkg returns the package's path within the module, "." for the root.
func (p *goPackage) pkg() string { return within(p.ImportPath) }

func within(importPath string) string {
	if importPath == modulePath {
		return "."
	}
	return strings.TrimPrefix(importPath, modulePath+"/")
}

// inModule reports whether an import path is that of this module or of one nested in it.
func inModule(importPath string) bool {
	return importPath == modulePath || strings.HasPrefix(importPath, modulePath+"/")
}

// listed is the module's packages and what they depend on, by import path.
var listed = sync.OnceValues(func() (map[string]*goPackage, error) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,IgnoredGoFiles,Imports,Deps,Module", "./...").Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	all := make(map[string]*goPackage)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(goPackage)
		switch err := dec.Decode(p); err {
		case nil:
			all[p.ImportPath] = p
		case io.EOF:
			return all, nil
		default:
			return nil, err
		}
	}
})

// everything returns the module's packages and what they depend on, by import path.
func everything(t *testing.T) map[string]*goPackage {
	t.Helper()
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ours returns the module's own packages.
func ours(t *testing.T) (own []*goPackage) {
	t.Helper()
	for path, p := range everything(t) {
		if inModule(path) {
			own = append(own, p)
		}
	}
	slices.SortFunc(own, func(a, b *goPackage) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return own
}

func TestTheRootLinksOnlyWhatIsAllowed(t *testing.T) {
	all := everything(t)
	linked := map[string]bool{modulePath: true}
	for _, dep := range all[modulePath].Deps {
		if m := all[dep].Module; m != nil {
			linked[m.Path] = true
		}
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

func TestEachPackageHasOneLayer(t *testing.T) {
	layerOf := make(map[string]int)
	for i, layer := range layers {
		for _, pkg := range layer {
			if _, twice := layerOf[pkg]; twice {
				t.Errorf("%s is in two layers", pkg)
			}
			layerOf[pkg] = i
		}
	}
	for _, p := range ours(t) {
		_, ok := layerOf[p.pkg()]
		if ok == forTests(p.pkg()) {
			t.Errorf("%s: in a layer: %t; a package for tests: %t; give each production package its place in layers", p.pkg(), ok, forTests(p.pkg()))
		}
		delete(layerOf, p.pkg())
	}
	for pkg := range layerOf {
		t.Errorf("%s is in a layer, but there is no such package", pkg)
	}
}

func TestImportsRunDownhill(t *testing.T) {
	layerOf := make(map[string]int)
	for i, layer := range layers {
		for _, pkg := range layer {
			layerOf[pkg] = i
		}
	}
	for _, p := range ours(t) {
		from, highest := p.pkg(), layerOf[p.pkg()]+1
		if forTests(from) {
			highest = layerOf[contracts]
		}
		for _, path := range p.Imports {
			if !inModule(path) {
				continue
			}
			to := within(path)
			layer, production := layerOf[to]
			switch {
			case production && layer < highest:
				t.Errorf("%s imports %s, which is not below it", from, to)
			case production:
			case !forTests(to):
				t.Errorf("%s imports %s, which is in no layer", from, to)
			case forTests(from):
			case strings.HasPrefix(from, "examples/") && slices.Contains(testToolsOfExamples, to):
			default:
				t.Errorf("%s imports %s, which is for tests", from, to)
			}
		}
	}
}

func TestNoProductionPackageLinksTesting(t *testing.T) {
	for _, p := range ours(t) {
		if !forTests(p.pkg()) && slices.Contains(p.Deps, "testing") {
			t.Errorf("%s imports package testing, or a package that does", p.pkg())
		}
	}
}

// gateways are the interfaces of stores, and the only package that may call their methods. What
// calls a store must count its failures, and bound its time: there is one place for that.
var gateways = map[string]string{
	"local.Local":           "internal/level",
	"local.TTLSetter":       "internal/level",
	"local.EntryGetter":     "internal/level",
	"local.EntryReplacer":   "internal/level",
	"local.Dated":           "internal/level",
	"remote.Remote":         "internal/level",
	"remote.TTLGetter":      "internal/level",
	"remote.ItemSetter":     "internal/level",
	"remote.KeysDeleter":    "internal/level",
	"remote.CompareDeleter": "internal/level",
	"remote.Fencer":         "internal/level",
	"remote.Leaser":         "internal/level",
	"remote.Tracker":        "internal/level",
	// A bus is no store: WithSyncBus may give one that has nothing to do with the remote. The
	// link has its own timeouts, and reports the failures of the bus as gaps.
	"remote.Bus": "internal/link",
}

// storeInterface is an interface of gateways.
type storeInterface struct {
	name, caller string
	methods      *types.Interface
}

// code resolves the types of the module's packages.
type code struct {
	fset     *token.FileSet
	imports  types.Importer
	stores   []storeInterface
	packages map[string]*goPackage
}

func newCode(t *testing.T) *code {
	t.Helper()
	c := &code{fset: token.NewFileSet(), packages: everything(t)}
	c.imports = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		p := c.packages[path]
		if p == nil || p.Export == "" {
			return nil, fmt.Errorf("the go command has no export data of %s", path)
		}
		return os.Open(p.Export)
	})
	for name, caller := range gateways {
		pkg, typeName, _ := strings.Cut(name, ".")
		imported, err := c.imports.Import(modulePath + "/" + pkg)
		if err != nil {
			t.Fatal(err)
		}
		obj := imported.Scope().Lookup(typeName)
		if obj == nil {
			t.Fatalf("there is no %s", name)
		}
		c.stores = append(c.stores, storeInterface{name, caller, obj.Type().Underlying().(*types.Interface)})
	}
	return c
}

// parse returns the syntax of a package's production files.
func (c *code) parse(t *testing.T, p *goPackage) (files []*ast.File) {
	t.Helper()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(c.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// storeCalls returns the uses of methods by which a package goes past the only caller of a store.
func (c *code) storeCalls(t *testing.T, path string, files []*ast.File) (calls []string) {
	t.Helper()
	info := &types.Info{Selections: make(map[*ast.SelectorExpr]*types.Selection)}
	config := types.Config{Importer: c.imports, Sizes: types.SizesFor("gc", "amd64")}
	if _, err := config.Check(path, c.fset, files, info); err != nil {
		t.Fatal(err)
	}
	for at, sel := range info.Selections {
		if sel.Kind() == types.FieldVal {
			continue
		}
		for _, s := range c.stores {
			if within(path) != s.caller && s.has(sel) {
				calls = append(calls, fmt.Sprintf("%s: %s of a %s", c.fset.Position(at.Pos()), sel.Obj().Name(), s.name))
			}
		}
	}
	slices.Sort(calls)
	return calls
}

// has reports whether sel selects a method of the interface, from a value that implements it. The
// level itself implements one, with a method of that name and shape.
func (s storeInterface) has(sel *types.Selection) bool {
	if pkg := sel.Obj().Pkg(); pkg == nil || within(pkg.Path()) == s.caller { // the method Error of error has no package
		return false
	}
	method, _, _ := types.LookupFieldOrMethod(s.methods, false, nil, sel.Obj().Name())
	if method == nil {
		return false
	}
	owner := sel.Obj().(*types.Func).Signature().Recv().Type() // of an embedded store: the store
	return implements(sel.Recv(), s.methods) || implements(owner, s.methods)
}

func implements(t types.Type, i *types.Interface) bool {
	if types.Implements(t, i) {
		return true
	}
	_, pointer := types.Unalias(t).(*types.Pointer)
	return !pointer && !types.IsInterface(t) && types.Implements(types.NewPointer(t), i)
}

func TestOnlyTheLevelsCallStores(t *testing.T) {
	c := newCode(t)
	checked := 0
	for _, p := range ours(t) {
		if pkg := p.pkg(); pkg != "." && !strings.HasPrefix(pkg, "internal/") || forTests(pkg) {
			continue
		}
		checked++
		for _, call := range c.storeCalls(t, p.ImportPath, c.parse(t, p)) {
			t.Errorf("%s: only the package that gateways names may call it", call)
		}
	}
	if checked < 10 {
		t.Errorf("checked only %d packages", checked)
	}
}

// The test of the test above: it sees a call of a store in whatever form it comes.
func TestCallsOfStoresAreSeen(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"an interface", `func f(l local.Local) { l.Del("") }`, 1},
		{"an ability", `func f(l local.Local) { l.(local.TTLSetter).SetWithTTL("", nil, 0) }`, 1},
		{"a store", `func f(l *local.FreeCache) { l.Get("") }`, 1},
		{"an adapter", `func f(r *remote.GoRedisV9Adapter) { r.Nil() }`, 1},
		{"a method value", `func f(r remote.Remote) any { return r.Get }`, 1},
		{"a method expression", `var f = remote.Remote.Get`, 1},
		{"an embedded store", `type s struct{ remote.Remote; local.Dated }; func f(x s) { x.Nil(); x.NoneBefore() }`, 2},
		{"a type parameter", `func f[L local.Local](l L) { l.Del("") }`, 1},
		{"a bus", `func f(b remote.Bus) { b.Publish(nil, "", nil) }`, 1},
		{"a level", `func f(l *level.Local, r *level.Remote) { l.Del(""); r.Track(nil, nil, nil, nil) }`, 0},
		{"a question", `func f(l local.Local) bool { _, ok := l.(local.Dated); return ok }`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCode(t)
			source := "package p\nimport (\"" + modulePath + "/local\"; \"" + modulePath + "/remote\"; \"" + modulePath + "/internal/level\")\n" +
				"var (_ local.Local; _ remote.Remote; _ level.Local)\n" + tt.body
			f, err := parser.ParseFile(c.fset, "p.go", source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if calls := c.storeCalls(t, modulePath+"/p", []*ast.File{f}); len(calls) != tt.want {
				t.Errorf("saw %q, want %d calls", calls, tt.want)
			}
		})
	}
}

// The bounds of a file and of a function that can be read in one go.
const (
	maxRootFiles  = 25 // the newest is options_entries.go: what is stored is an idea of its own
	maxParameters = 5
	maxLines      = 400
)

func TestTheRootHasFewFiles(t *testing.T) {
	root := everything(t)[modulePath]
	var files []string
	for _, name := range slices.Concat(root.GoFiles, root.IgnoredGoFiles) {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, name)
		}
	}
	if len(files) > maxRootFiles {
		t.Errorf("the root has %d files of production code, want %d at most: %q", len(files), maxRootFiles, files)
	}
}

func TestFunctionsHaveFewParameters(t *testing.T) {
	c := newCode(t)
	for _, p := range ours(t) {
		if p.pkg() != "." && !strings.HasPrefix(p.pkg(), "internal/") {
			continue
		}
		for _, f := range c.parse(t, p) {
			name := ""
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl: // the type, and function literals, come after it
					name = p.pkg() + ": " + n.Name.Name
				case *ast.TypeSpec:
					name = p.pkg() + ": " + n.Name.Name
				case *ast.FuncType:
					if n.Params.NumFields() > maxParameters {
						t.Errorf("%s has more than %d parameters", name, maxParameters)
					}
				}
				return true
			})
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, p := range ours(t) {
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			path := filepath.Join(p.Dir, name)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(source, []byte("\n")); lines > maxLines && !ast.IsGenerated(f) {
				t.Errorf("%s/%s has %d lines, want %d at most: look for its second idea", p.pkg(), name, lines, maxLines)
			}
		}
	}
}
