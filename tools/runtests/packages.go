package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// allocationTests begins the name of each test that measures allocations. The race detector
// allocates by itself, so that such tests cannot pass with it.
const allocationTests = "TestAllocations"

// checkRaceDetector returns why tests cannot run with the race detector here; nil if they can.
func checkRaceDetector(dir string) error {
	_, err := goOutput(dir, "list", "-race", "runtime/race")
	return err
}

// packagesThatMeasure returns those of the packages that have a test which measures allocations.
func packagesThatMeasure(dir string, patterns []string) ([]string, error) {
	const format = "{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}} {{.}}\n{{end}}" +
		"{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}} {{.}}\n{{end}}"
	files, err := list(dir, format, patterns)
	if err != nil {
		return nil, err
	}
	var packages []string
	for _, file := range files {
		path, place, _ := strings.Cut(file, " ")
		end := strings.LastIndexByte(place, ' ')
		text, err := os.ReadFile(filepath.Join(place[:end], place[end+1:]))
		if err != nil {
			return nil, err
		}
		if bytes.Contains(text, []byte("\nfunc "+allocationTests)) {
			packages = append(packages, path)
		}
	}
	return slices.Compact(packages), nil
}

// list returns the lines that `go list` prints of the packages in dir that patterns name.
func list(dir, format string, patterns []string) ([]string, error) {
	out, err := goOutput(dir, append([]string{"list", "-f", format}, patterns...)...)
	if err != nil {
		return nil, fmt.Errorf("the packages in %s: %w", dir, err)
	}
	return slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool { return line == "" }), nil
}

// goOutput runs the go command in dir. Its error is what the command printed as one.
func goOutput(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return "", errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
