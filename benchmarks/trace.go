package benchmarks

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// trace is a sequence of accesses.
type trace struct {
	name     string
	keys     []string // the different keys
	accesses []uint32 // indices into keys
}

// defaultTraces is where traces are when TRACES does not say.
const defaultTraces = "../../shared/traces"

// loadTraces reads the traces in the directory that TRACES names, or else in
// defaultTraces: gzip files with one key a line. Where TRACES is not set and there are
// none, it returns a synthetic trace, and says so by its name.
func loadTraces() ([]trace, error) {
	dir, given := os.LookupEnv("TRACES")
	if !given {
		dir = defaultTraces
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		if given {
			return nil, fmt.Errorf("TRACES names %q: %w: no *.gz there", dir, fs.ErrNotExist)
		}
		return []trace{syntheticTrace()}, nil
	}
	var traces []trace
	for _, file := range files {
		t, err := readTrace(file)
		if err != nil {
			return nil, err
		}
		traces = append(traces, t)
	}
	return traces, nil
}

// readTrace reads one file.
func readTrace(file string) (t trace, err error) {
	f, err := os.Open(file)
	if err != nil {
		return trace{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return trace{}, fmt.Errorf("%s: %w", file, err)
	}
	b := newTraceBuilder(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), ".txt"))
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		b.add(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return trace{}, fmt.Errorf("%s: %w", file, err)
	}
	if len(b.accesses) == 0 {
		return trace{}, fmt.Errorf("%s: no accesses", file)
	}
	return b.trace, nil
}

// traceBuilder gathers accesses.
type traceBuilder struct {
	trace
	index map[string]uint32
}

func newTraceBuilder(name string) *traceBuilder {
	return &traceBuilder{trace: trace{name: name}, index: map[string]uint32{}}
}

func (b *traceBuilder) add(key []byte) {
	i, ok := b.index[string(key)]
	if !ok {
		i = uint32(len(b.keys))
		b.keys = append(b.keys, string(key))
		b.index[b.keys[i]] = i
	}
	b.accesses = append(b.accesses, i)
}

// syntheticTrace stands in where no recorded traces are at hand: Zipf accesses, half of
// which come in short repetitions, and now and then a scan over keys that nobody else asks
// for.
func syntheticTrace() trace {
	const accesses, distinct, scan = 300_000, 20_000, 1000
	b := newTraceBuilder("synthetic")
	r := rand.New(rand.NewPCG(5, 11))
	zipf := rand.NewZipf(r, 1.05, 1, distinct-1)
	var buf []byte
	add := func(prefix byte, n uint64) {
		buf = strconv.AppendUint(append(buf[:0], prefix), n, 10)
		b.add(buf)
	}
	recent := make([]uint64, 256)
	scanned := uint64(0)
	for len(b.accesses) < accesses {
		if r.IntN(10*scan) == 0 {
			for range scan {
				scanned++
				add('s', scanned)
			}
		}
		slot := r.IntN(len(recent))
		if r.IntN(2) == 0 {
			recent[slot] = zipf.Uint64()
		}
		add('k', recent[slot])
	}
	return b.trace
}
