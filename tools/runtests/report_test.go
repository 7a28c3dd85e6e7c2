package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes the files of a module and returns its directory.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.org/m\n\ngo 1.25.0\n"
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const passing = `package a
import "testing"
func TestAlone(t *testing.T) { t.Log("not worth printing") }
func TestEach(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {})
	t.Run("real", func(t *testing.T) { t.Skip("skipped: no server: install one") })
}
`

// tested runs the tests of a module and returns what was printed, with the summary at its end.
func tested(t *testing.T, files map[string]string, args ...string) (printed string, failed bool) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := r.goTest(module(t, files), append(args, "./...")); err != nil {
		t.Fatal(err)
	}
	return out.String() + r.summary(1), r.failed()
}

func expect(t *testing.T, printed string, has, hasNot []string) {
	t.Helper()
	for _, text := range has {
		if !strings.Contains(printed, text) {
			t.Errorf("not printed: %q", text)
		}
	}
	for _, text := range hasNot {
		if strings.Contains(printed, text) {
			t.Errorf("printed: %q", text)
		}
	}
	if t.Failed() {
		t.Log(printed)
	}
}

func TestPassingTests(t *testing.T) {
	printed, failed := tested(t, map[string]string{"a/a_test.go": passing, "bare/bare.go": "package bare\n"})
	if failed {
		t.Error("it failed")
	}
	expect(t, printed,
		[]string{"ok  \texample.org/m/a\t", "\nok: 2 tests passed, in 1 package of 1 module, after ", "; 1 skipped (no server: install one)"},
		[]string{"not worth printing", "m/bare", "no test files", "PASS", "=== RUN"})
}

func TestFailingTestsArePrintedInFull(t *testing.T) {
	printed, failed := tested(t, map[string]string{"a/a_test.go": passing, "b/b_test.go": `package b
import ("fmt"; "testing")
func TestGood(t *testing.T) { t.Log("of the good one") }
func TestBad(t *testing.T) {
	t.Run("inner", func(t *testing.T) { fmt.Println("by hand"); t.Log("before"); t.Error("the reason") })
}
`})
	if !failed {
		t.Error("it did not fail")
	}
	expect(t, printed,
		[]string{"by hand\n", "before\n", "b_test.go:5: the reason\n", "--- FAIL: TestBad", "--- FAIL: TestBad/inner", "FAIL\texample.org/m/b\t",
			"ok  \texample.org/m/a\t", "\nFAIL: 1 test of 4 failed, in 2 packages of 1 module, after ", ": example.org/m/b.TestBad/inner; 1 skipped"},
		[]string{"of the good one"})
	if result, reason := strings.Index(printed, "--- FAIL: TestBad/inner"), strings.Index(printed, "the reason"); result > reason {
		t.Error("the reason stands above the name of its test")
	}
}

func TestATestThatFailsBesideItsSubtestsIsNamed(t *testing.T) {
	printed, failed := tested(t, map[string]string{"b/b_test.go": `package b
import "testing"
func TestBad(t *testing.T) {
	t.Run("inner", func(t *testing.T) {})
	t.Error("the reason")
}
`})
	if !failed {
		t.Error("it did not fail")
	}
	expect(t, printed, []string{"the reason\n", "FAIL: 1 test of 2 failed", ": example.org/m/b.TestBad; none was skipped"}, nil)
}

func TestAProcessThatEndsEarlyFails(t *testing.T) {
	printed, failed := tested(t, map[string]string{"b/b_test.go": `package b
import ("os"; "testing")
func TestMain(m *testing.M) { m.Run(); println("left over"); os.Exit(3) }
func TestGood(t *testing.T) {}
`})
	if !failed {
		t.Error("it did not fail")
	}
	expect(t, printed, []string{"left over\n", "FAIL: 0 tests of 1 failed", ": example.org/m/b (its tests passed, but the process failed); none"}, nil)
}

func TestAPanicFailsTheTestThatRan(t *testing.T) {
	printed, failed := tested(t, map[string]string{"b/b_test.go": `package b
import ("testing"; "time")
func TestPanics(t *testing.T) { go panic("at the disco"); time.Sleep(time.Minute) }
`})
	if !failed {
		t.Error("it did not fail")
	}
	expect(t, printed, []string{"panic: at the disco", "FAIL: 1 test of 1 failed", ": example.org/m/b.TestPanics; none"}, nil)
}

func TestATestThatHangsFails(t *testing.T) {
	printed, failed := tested(t, map[string]string{"b/b_test.go": `package b
import "testing"
func TestHangs(t *testing.T) { select {} }
`}, "-timeout", "100ms")
	if !failed {
		t.Error("it did not fail")
	}
	expect(t, printed, []string{"FAIL: 1 test of 1 failed", ": example.org/m/b.TestHangs; none"}, nil)
}

func TestCodeThatDoesNotCompileFails(t *testing.T) {
	printed, failed := tested(t, map[string]string{"a/a_test.go": passing, "b/b_test.go": "package b\nvar x int = \"text\"\n"})
	if !failed {
		t.Error("it did not fail")
	}
	expect(t, printed, []string{"b_test.go:2:", "FAIL\texample.org/m/b [build failed]", ": example.org/m/b (it does not build); 1 skipped"}, nil)
}

func TestAGoCommandThatFailsIsAFailure(t *testing.T) {
	printed, failed := tested(t, map[string]string{"a/a_test.go": passing}, "-timeout", "soon")
	if !failed {
		t.Error("it did not fail")
	}
	expect(t, printed, []string{"FAIL: 0 tests of 0 failed", ": the go command failed; its error is above"}, nil)
}

func TestTheSummaryNamesTheFirstFailures(t *testing.T) {
	r := newReport(&strings.Builder{})
	for range shownFailures + 2 {
		r.failures = append(r.failures, "a.TestBad")
	}
	if s := r.summary(1); strings.Count(s, "a.TestBad") != shownFailures || !strings.Contains(s, " and 2 more;") {
		t.Error(s)
	}
}

func TestTheSummaryCountsWhatWasSkippedByReason(t *testing.T) {
	r := newReport(&strings.Builder{})
	r.skips = map[string]int{"rare": 1, "often": 3, "also rare": 1}
	if s := r.summary(1); !strings.HasSuffix(s, "; 5 skipped: 3 (often), 1 (also rare), 1 (rare)") {
		t.Error(s)
	}
}

func TestPackagesThatMeasureAllocations(t *testing.T) {
	dir := module(t, map[string]string{
		"a/a_test.go": passing,
		"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestAllocationsOfX(t *testing.T) {}\n",
		"c/c_test.go": "package c_test\n\nimport \"testing\"\n\nfunc TestAllocations(t *testing.T) {}\n",
	})
	got, err := packagesThatMeasure(dir, []string{"./..."})
	if err != nil || strings.Join(got, " ") != "example.org/m/b example.org/m/c" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := packagesThatMeasure(dir, []string{"./none"}); err == nil {
		t.Error("a pattern that names nothing is not an error")
	}
}
