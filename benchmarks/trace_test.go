package benchmarks

import (
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func writeGzip(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestTracesAreRead(t *testing.T) {
	dir := t.TempDir()
	writeGzip(t, filepath.Join(dir, "shop.txt.gz"), "7\n-3\n7\n")
	t.Setenv("TRACES", dir)
	traces, err := loadTraces()
	if err != nil {
		t.Fatal(err)
	}
	if len(traces) != 1 || traces[0].name != "shop" || len(traces[0].keys) != 2 || len(traces[0].accesses) != 3 {
		t.Fatalf("read %+v", traces)
	}
	got := ""
	for _, i := range traces[0].accesses {
		got += traces[0].keys[i] + " "
	}
	if got != "7 -3 7 " {
		t.Errorf("the accesses are %q", got)
	}
}

func TestBadTracesAreErrors(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TRACES", dir)
	if _, err := loadTraces(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory that TRACES names: %v", err)
	}
	writeGzip(t, filepath.Join(dir, "empty.txt.gz"), "")
	if _, err := loadTraces(); err == nil {
		t.Error("an empty trace is no error")
	}
	if err := os.WriteFile(filepath.Join(dir, "empty.txt.gz"), []byte("not gzip"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadTraces(); err == nil {
		t.Error("a file that is not gzip is no error")
	}
}

func TestTheSyntheticTraceHasHotKeysAndScans(t *testing.T) {
	s := syntheticTrace()
	count := make([]int, len(s.keys))
	for _, i := range s.accesses {
		count[i]++
	}
	hot, once := 0, 0
	for _, n := range count {
		hot = max(hot, n)
		if n == 1 {
			once++
		}
	}
	if hot < len(s.accesses)/50 || once < 1000 {
		t.Errorf("the hottest key has %d of %d accesses, and %d keys have one", hot, len(s.accesses), once)
	}
}
