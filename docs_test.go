package cache_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// This file compiles the Go code of the documents: every block that begins with "```go" in
// the Markdown files of the root and of docs. There are two kinds of blocks:
//
//   - A block that begins with a package clause is a complete program, and is compiled as it
//     is. If the next block begins with "```text", that is what the program prints.
//   - Any other block is a fragment: statements, or declarations. It is compiled in a package
//     with the prelude below, whose names and imports it may use. A variable that a fragment
//     declares need not be used in it.
//
// All of this happens in a temporary module, which depends on this one as README.md says that
// a user's does. It takes what it needs from the module cache, and nothing from the network.

// imports are the packages that fragments may use, by their names.
var imports = map[string]string{
	"cache":   "github.com/mgtv-tech/jetcache-go",
	"local":   "github.com/mgtv-tech/jetcache-go/local",
	"logger":  "github.com/mgtv-tech/jetcache-go/logger",
	"redis":   "github.com/redis/go-redis/v9",
	"remote":  "github.com/mgtv-tech/jetcache-go/remote",
	"stats":   "github.com/mgtv-tech/jetcache-go/stats",
	"context": "context",
	"errors":  "errors",
	"fmt":     "fmt",
	"log":     "log",
	"slices":  "slices",
	"slog":    "log/slog",
	"sql":     "database/sql",
	"time":    "time",
}

// prelude is what fragments may use beside these packages.
const prelude = `package fragments

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// User and Product are what a service caches.
type (
	User    struct{ ID int64; Name string; Roles []string }
	Product struct{ SKU string; Price int64; Tags []string }
)

// database stands for the database of a service.
type database struct{}

func (database) user(context.Context, int64) (User, error)              { panic("never called") }
func (database) users(context.Context, []int64) (map[int64]User, error) { panic("never called") }
func (database) rename(context.Context, int64, string) error            { panic("never called") }
func (database) headlines(context.Context) (any, error)                 { panic("never called") }

var (
	ctx    = context.Background()
	db     database
	client = redis.NewClient(&redis.Options{})
	store  = local.NewOtter(10_000, time.Minute)
	shared = remote.NewGoRedisV9Adapter(client)
	c      = cache.New(cache.WithLocal(store), cache.WithRemote(shared))
	users  = cache.NewT[int64, User](c)
)
`

// block is a block of code in a document.
type block struct {
	document string // path from the root
	line     int    // of the first line within the block
	language string
	code     string
}

func (b *block) program() bool { return strings.HasPrefix(b.code, "package ") }

// String says where the block is.
func (b *block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

// blocksOf returns the blocks of a document.
func blocksOf(document, text string) (blocks []block) {
	const fence = "```"
	inside := false
	for i, line := range strings.SplitAfter(text, "\n") {
		language, isFence := strings.CutPrefix(strings.TrimSpace(line), fence)
		switch {
		case isFence && inside:
			inside = false
		case isFence:
			inside = true
			blocks = append(blocks, block{document: document, line: i + 2, language: language})
		case inside:
			blocks[len(blocks)-1].code += line
		}
	}
	return blocks
}

// readDocuments returns the blocks of all documents.
func readDocuments(t *testing.T) (blocks []block) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			blocks = append(blocks, blocksOf(path, string(text))...)
		}
	}
	return blocks
}

// fragment returns the file that compiles a block which is no program. Errors in it have the
// document's name and line.
func fragment(b *block) (string, error) {
	at := fmt.Sprintf("//line %s:%d\n", filepath.Base(b.document), b.line)
	body := at + b.code
	file, err := parser.ParseFile(token.NewFileSet(), "", "package fragments\n"+body, 0)
	if err != nil { // statements, then
		body = "func _() {\n" + at + b.code + "}\n"
		file, err = parser.ParseFile(token.NewFileSet(), "", "package fragments\n"+body, 0)
		if err != nil {
			return "", fmt.Errorf("neither statements nor declarations: %w", err)
		}
		body = strings.TrimSuffix(body, "}\n") + uses(file.Decls[0].(*ast.FuncDecl)) + "}\n"
	}
	header := "package fragments\n"
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && imports[x.Name] != "" {
				if line := fmt.Sprintf("import %s %q\n", x.Name, imports[x.Name]); !strings.Contains(header, line) {
					header += line
				}
			}
		}
		return true
	})
	return header + body, nil
}

// uses returns statements that use the variables which f declares at its top.
func uses(f *ast.FuncDecl) (code string) {
	for _, stmt := range f.Body.List {
		if assign, ok := stmt.(*ast.AssignStmt); ok && assign.Tok == token.DEFINE {
			for _, left := range assign.Lhs {
				if name := left.(*ast.Ident).Name; name != "_" {
					code += "_ = " + name + "\n"
				}
			}
		}
	}
	return code
}

// newModule makes a module that depends on this one, as README.md says, and returns its
// directory.
func newModule(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The versions are those of this module, which are in the module cache.
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.Replace(data, []byte("module github.com/mgtv-tech/jetcache-go\n"), []byte("module example.com/hello\n"), 1)
		write(t, filepath.Join(dir, name), string(data))
	}
	edit := regexp.MustCompile(`(?m)^go (mod edit .*)=\.\./jetcache-go$`).FindStringSubmatch(codeOf(t, "README.md", "sh"))
	if edit == nil {
		t.Fatal(`README.md has no "go mod edit" that depends on ../jetcache-go`)
	}
	if out, err := goCommand(dir, strings.Fields(edit[1]+"="+root)...); err != nil {
		t.Fatalf("go %s: %v\n%s", edit[1], err, out)
	}
	return dir
}

// codeOf returns all blocks of a document in this language.
func codeOf(t *testing.T, document, language string) (code string) {
	t.Helper()
	for _, b := range readDocuments(t) {
		if b.document == document && b.language == language {
			code += b.code
		}
	}
	return code
}

func goCommand(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output() // without the log, which has the statistics when a minute ends
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, stderr.String())
	}
	return string(out), err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compile compiles the Go blocks of documents. It returns what is wrong with them, and where
// the programs are: their directories in the module at dir, by their place in blocks.
func compile(t *testing.T, blocks []block) (dir string, programs map[int]string, err error) {
	t.Helper()
	dir, programs = newModule(t), make(map[int]string)
	for i := range blocks {
		b := &blocks[i]
		if b.language != "go" {
			continue
		}
		document := strings.TrimSuffix(filepath.Base(b.document), ".md")
		if b.program() {
			programs[i] = fmt.Sprintf("./%s_%d", document, b.line)
			write(t, filepath.Join(dir, programs[i], "main.go"), b.code)
			continue
		}
		code, err := fragment(b)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", b, err)
		}
		write(t, filepath.Join(dir, "fragments", document, "prelude.go"), prelude)
		write(t, filepath.Join(dir, "fragments", document, fmt.Sprintf("line%d.go", b.line)), code)
	}
	if out, err := goCommand(dir, "vet", "./..."); err != nil {
		return "", nil, fmt.Errorf("%w\n%s", err, out)
	}
	return dir, programs, nil
}

func TestTheCodeOfDocuments(t *testing.T) {
	blocks := readDocuments(t)
	dir, programs, err := compile(t, blocks)
	if err != nil {
		t.Fatal(err)
	}
	if len(programs) < 2 {
		t.Errorf("README.md should have two programs; there are %d", len(programs))
	}
	redis := miniredis.RunT(t)
	t.Setenv("REDIS_ADDR", redis.Addr())
	for i, program := range programs {
		if i+1 == len(blocks) || blocks[i+1].language != "text" {
			continue
		}
		if out, err := goCommand(dir, "run", program); err != nil || out != blocks[i+1].code {
			t.Errorf("%s: %v; it prints\n%s\nand should print\n%s", &blocks[i], err, out, blocks[i+1].code)
		}
	}
}

// The commands need the module proxy, as they look up versions. So they run only if ONLINE is set.
func TestTheCommandsOfREADME(t *testing.T) {
	if os.Getenv("ONLINE") == "" {
		t.Skip("ONLINE is not set")
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	blocks := readDocuments(t)
	isProgram := func(b block) bool { return b.document == "README.md" && b.language == "go" && b.program() }
	first := slices.IndexFunc(blocks, isProgram)
	commands := slices.IndexFunc(blocks, func(b block) bool { return b.document == "README.md" && b.language == "sh" })
	if first < 0 || commands < 0 {
		t.Fatal("README.md has no program, or no commands")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), blocks[first].code)
	cmd := exec.Command("sh", "-e", "-c", strings.ReplaceAll(blocks[commands].code, "../jetcache-go", root))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var errors strings.Builder
	cmd.Stderr = &errors
	if out, err := cmd.Output(); err != nil || string(out) != blocks[first+1].code {
		t.Errorf("%s: %v\n%s\nit prints\n%s", &blocks[commands], err, &errors, out)
	}
}

func TestCodeOfDocumentsThatDoesNotCompile(t *testing.T) {
	var blocks []block
	for document, code := range map[string]string{
		"program.md":     "package main\n\nfunc main() { cache.New() }",
		"option.md":      "c := cache.New(\n\tcache.WithNoSuchOption())",
		"declaration.md": "func f() int { return users }",
		"vet.md":         `fmt.Printf("%d", "text")`,
	} {
		blocks = append(blocks, blocksOf(document, "# Title\n\n```go\n"+code+"\n```\n")...)
	}
	_, _, err := compile(t, blocks)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"undefined: cache", "option.md:5", "declaration.md:4", "vet.md:4"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if _, _, err := compile(t, []block{{document: "ellipsis.md", line: 9, language: "go", code: "c := cache.New(…, more)\n"}}); err == nil || !strings.Contains(err.Error(), "ellipsis.md:9") {
		t.Errorf("no Go at all: %v", err)
	}
}
