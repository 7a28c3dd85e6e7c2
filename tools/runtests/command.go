package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// silence is how long nothing may be printed before the report says what it waits for.
const silence = 20 * time.Second

// goTest runs `go test` in dir and reports its events. It returns an error only if the command
// cannot run at all.
func (r *report) goTest(dir string, args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines, readErr := make(chan []byte), make(chan error, 1)
	go func() {
		defer close(lines)
		readErr <- scan(out, lines)
	}()
	r.follow(lines)
	if err := <-readErr; err != nil {
		return err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.failedCommands++
		return nil
	}
	return err
}

// scan sends each line of in to lines.
func scan(in io.Reader, lines chan<- []byte) error {
	b := bufio.NewReader(in)
	for {
		line, err := b.ReadBytes('\n')
		if len(line) > 0 {
			lines <- line
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading from go test: %w", err)
		}
	}
}

// follow reports events until lines is closed.
func (r *report) follow(lines <-chan []byte) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	r.printed = time.Now()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				r.print(string(line)) // the go command prints some errors as plain text
				continue
			}
			r.add(e)
		case <-tick.C:
			if time.Since(r.printed) >= silence {
				r.print(r.waiting())
			}
		}
	}
}
