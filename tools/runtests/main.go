// Command runtests runs the tests of several modules, as `make test` does. It prints what
// `go test` prints without -v, says what it waits for when that takes long, and ends in one
// line that says what passed, what failed, and what was skipped and why.
//
//	runtests [-packages PATTERNS] [-timeout DURATION] MODULE-DIRECTORY...
//
// The tests run with the race detector if the machine has what it needs. Tests whose names
// begin with TestAllocations run in a step of their own, without the race detector.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

var errFailed = errors.New("tests failed")

func main() {
	patterns := flag.String("packages", "./...", "the packages to test, as patterns of the go command")
	timeout := flag.Duration("timeout", 10*time.Minute, "how long the tests of one package may take")
	flag.Parse()
	err := run(flag.Args(), strings.Fields(*patterns), *timeout)
	if err != nil && !errors.Is(err, errFailed) {
		fmt.Fprintln(os.Stderr, "runtests:", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// run tests the packages that patterns name in each of the modules.
func run(modules, patterns []string, timeout time.Duration) error {
	if len(modules) == 0 {
		return errors.New("name at least one directory of a module")
	}
	flags := []string{"-timeout", timeout.String()}
	raceErr := checkRaceDetector(modules[0])
	all, title := flags, "compiling and testing %s"
	if raceErr == nil {
		all, title = append(slices.Clip(flags), "-race", "-skip", "^"+allocationTests), title+" with the race detector"
	} else {
		fmt.Printf("These tests run WITHOUT the race detector: %v\n", raceErr)
	}
	r := newReport(os.Stdout)
	for _, dir := range modules {
		packages, err := list(dir, "{{.ImportPath}}", patterns)
		if err != nil {
			return err
		}
		fmt.Printf("== %s: "+title+"; compiling takes minutes the first time\n", dir, count(len(packages), "package"))
		if err := r.goTest(dir, slices.Concat(all, patterns)); err != nil {
			return err
		}
	}
	for _, dir := range modules {
		if raceErr != nil {
			break // they have run with the others
		}
		if err := measureAllocations(r, dir, patterns, flags); err != nil {
			return err
		}
	}
	fmt.Println(r.summary(len(modules)))
	if r.failed() {
		return errFailed
	}
	return nil
}

// measureAllocations runs the tests of the module in dir that measure allocations.
func measureAllocations(r *report, dir string, patterns, flags []string) error {
	packages, err := packagesThatMeasure(dir, patterns)
	if err != nil || len(packages) == 0 {
		return err
	}
	fmt.Printf("== %s: ceilings of allocations: tests in %s measure that a call allocates no more than its limit; "+
		"they run without the race detector, which allocates itself\n", dir, count(len(packages), "package"))
	return r.goTest(dir, slices.Concat(flags, []string{"-run", "^" + allocationTests}, packages))
}
