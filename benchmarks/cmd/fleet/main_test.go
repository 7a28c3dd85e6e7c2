package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(childVariable); config != "" {
		if err := runChild(config, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

func TestTheTable(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("skipped: install redis-server")
	}
	t.Setenv("REDIS_ADDR", "") // its counters would be those of other tests, too
	var out strings.Builder
	if err := run([]string{"-nodes", "1,3", "-for", "300ms", "-rate", "50"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[4], "| 1 |") || !strings.HasPrefix(lines[5], "| 3 |") ||
		strings.Count(lines[2], "|") != strings.Count(lines[5], "|") || !strings.HasSuffix(lines[5], ", 0 |") {
		t.Errorf("the table is\n%s", out.String())
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-nodes", "0"}, {"-nodes", "x"}, {"-rate", "0"}, {"-for", "0s"}, {"-processes", "0"}, {"more"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is no error", args)
		}
	}
	s, err := parse([]string{"-nodes", "2, 10"})
	if err != nil || len(s.nodes) != 2 || s.nodes[1] != 10 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSizes(t *testing.T) {
	for bytes, want := range map[float64]string{0: "0 B", 1500: "1.5 kB", 2.25e6: "2.2 MB"} {
		if got := size(bytes); got != want {
			t.Errorf("%v is %q, want %q", bytes, got, want)
		}
	}
}
