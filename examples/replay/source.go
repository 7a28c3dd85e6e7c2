package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// input is the log that is replayed. Only feed calls next; done may be called at any time.
type input struct {
	source   func() (key string, ok bool, err error)
	limit    int64 // how many accesses are read; zero: no bound
	size     int64 // bytes of the file; zero: unknown
	read     atomic.Int64
	accesses atomic.Int64
	keys     map[string]struct{} // the distinct keys so far
	close    func() error
}

// open opens what c says.
func open(c config) (*input, error) {
	in := &input{limit: int64(c.accesses), keys: make(map[string]struct{}), close: func() error { return nil }}
	if c.log == "" {
		in.source = zipf(c.keys)
		return in, nil
	}
	err := in.openLog(c.log)
	return in, err
}

// next returns the next key; ok is false at the end.
func (in *input) next() (key string, ok bool, err error) {
	if in.limit > 0 && in.accesses.Load() == in.limit {
		return "", false, nil
	}
	if key, ok, err = in.source(); ok {
		in.accesses.Add(1)
		in.keys[key] = struct{}{}
	}
	return key, ok, err
}

// nextKeys returns the next n keys, and fewer at the end.
func (in *input) nextKeys(n int) (keys []string, err error) {
	for len(keys) < n {
		key, ok, err := in.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// done returns which part of the log has been read, from 0 to 1. It is 0 if nobody knows.
func (in *input) done() (part float64) {
	if in.limit > 0 {
		part = float64(in.accesses.Load()) / float64(in.limit)
	}
	if in.size > 0 {
		part = max(part, float64(in.read.Load())/float64(in.size))
	}
	return min(part, 1)
}

// openLog reads keys from a file, plain or gzip, one a line; "-" is standard input. Empty lines
// are skipped.
func (in *input) openLog(path string) error {
	file := os.Stdin
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return err
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
	}
	in.close = file.Close
	text := bufio.NewReaderSize(counted{file, &in.read}, 1<<16)
	if magic, err := text.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unzip, err := gzip.NewReader(text)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
		}
		text = bufio.NewReaderSize(unzip, 1<<16)
	}
	lines, number := bufio.NewScanner(text), 0
	in.source = func() (string, bool, error) {
		for lines.Scan() {
			number++
			key := strings.TrimSpace(lines.Text())
			if !utf8.ValidString(key) {
				return "", false, fmt.Errorf("%s: line %d is not text", path, number)
			}
			if key != "" {
				return key, true, nil
			}
		}
		if err := lines.Err(); err != nil {
			return "", false, fmt.Errorf("%s: line %d: %w (a line may have %d bytes)", path, number+1, err, bufio.MaxScanTokenSize)
		}
		return "", false, nil
	}
	return nil
}

// counted is a reader that counts its bytes.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// zipf returns keys whose popularity follows Zipf's law, the same keys in each run.
func zipf(keys int) func() (string, bool, error) {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.05, 10, uint64(keys-1))
	return func() (string, bool, error) { return strconv.FormatUint(z.Uint64(), 10), true, nil }
}
