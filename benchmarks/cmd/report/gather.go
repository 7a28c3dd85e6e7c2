package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// module is what the benchmarks are part of.
const module = "github.com/mgtv-tech/jetcache-go/benchmarks"

// Benchmarks of a time are run in each round, so that both sides of a ratio see the same
// moods of the machine. Memory comes out the same each time and is measured once; a hit ratio
// differs a little, as stores put work off, and is measured a few times.
const (
	timed  = "^Benchmark(LocalHit|LocalHitString|ClientSideCaching|LocalWrite|LocalWriteEntity|RemoteHit|MGetLocal|MGetRemote|MGetMissing|BatchWrite|OverlappingBatches|Codec)$"
	storms = "^BenchmarkStampede$"
	memory = "^Benchmark(Memory|Empty)$"
	ratios = "^BenchmarkHitRatio$"
)

// scaling is run on one processor, beside its run on all of them.
const scaling = "^BenchmarkLocalHit$/^(raw_otter|T.Get_Otter)$/^parallel$"

// pass is one run of the benchmarks that a pattern names.
type pass struct {
	pattern   string
	benchtime string
	procs     int
}

// passes are the runs of s, in their order.
func passes(s settings) []pass {
	var all []pass
	for range s.count {
		all = append(all,
			pass{timed, s.benchtime.String(), s.procs},
			pass{scaling, s.benchtime.String(), 1},
			pass{storms, (3 * s.benchtime).String(), s.procs})
	}
	if s.quick {
		return append(all,
			pass{"^BenchmarkMemory$/^(raw_otter|Otter)$", "1x", s.procs},
			pass{"^BenchmarkEmpty$", "1x", s.procs},
			pass{"^BenchmarkHitRatio$//^keys=10%$", "1x", s.procs})
	}
	all = append(all, pass{memory, "1x", s.procs})
	for range min(3, s.count) {
		all = append(all, pass{ratios, "1x", s.procs})
	}
	return all
}

// gather returns the results of all passes, or those of a file.
func gather(s settings, progress io.Writer) (r *results, err error) {
	r = newResults(s.procs)
	if s.from != "" {
		f, err := os.Open(s.from)
		if err != nil {
			return nil, err
		}
		return r, errors.Join(r.read(f), f.Close())
	}
	saved := io.Discard
	if s.save != "" {
		f, err := os.Create(s.save)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		saved = f
	}
	dir, err := goOutput("", "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "report")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	binary := filepath.Join(tmp, "benchmarks.test")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if _, err := goOutput(dir, "test", "-c", "-o", binary, "."); err != nil {
		return nil, err
	}
	all, begin := passes(s), time.Now()
	for n, p := range all {
		if _, err := fmt.Fprintf(progress, "%5s  pass %d of %d\n", time.Since(begin).Round(time.Second), n+1, len(all)); err != nil {
			return nil, err
		}
		output, err := p.run(dir, binary)
		if _, saveErr := saved.Write(output); saveErr != nil {
			return nil, saveErr
		}
		if err := errors.Join(err, r.read(bytes.NewReader(output))); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// run returns what the benchmarks of one pass print.
func (p pass) run(dir, binary string) ([]byte, error) {
	cmd := exec.Command(binary, "-test.run", "^$", "-test.bench", p.pattern,
		"-test.benchtime", p.benchtime, "-test.cpu", strconv.Itoa(p.procs), "-test.timeout", "30m")
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		return output, fmt.Errorf("the benchmarks %s: %w\n%s", p.pattern, err, lastLines(output, 20))
	}
	return output, nil
}

func lastLines(text []byte, n int) string {
	var lines []string
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// goOutput returns what the go command prints.
func goOutput(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(output)), nil
}
