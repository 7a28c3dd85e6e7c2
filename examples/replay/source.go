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
	"unicode/utf8"
)

// source yields the keys of an access log, one a call; ok is false at its end.
type source func() (key string, ok bool, err error)

// openLog returns the keys of a file, plain or gzip, one a line; "-" is standard input.
// Empty lines are passed over.
func openLog(path string) (source, io.Closer, error) {
	file := os.Stdin
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return nil, nil, err
		}
	}
	in := bufio.NewReaderSize(file, 1<<16)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unzip, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
		}
		in = bufio.NewReaderSize(unzip, 1<<16)
	}
	lines := bufio.NewScanner(in)
	number := 0
	return func() (string, bool, error) {
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
	}, file, nil
}

// zipf yields n accesses to keys whose popularity follows Zipf's law, the same each time.
func zipf(n, keys int) source {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.05, 10, uint64(keys-1))
	return func() (string, bool, error) {
		if n--; n < 0 {
			return "", false, nil
		}
		return strconv.FormatUint(z.Uint64(), 10), true, nil
	}
}
