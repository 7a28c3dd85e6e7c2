package remote

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// errUnsent marks a queued command until it has a reply. go-redis leaves the commands
// of a pipeline that found no connection without an error, as if each had been answered
// with nothing.
var errUnsent = errors.New("remote: the command was not sent")

// unsent marks cmd.
func unsent[C redis.Cmder](cmd C) C {
	cmd.SetErr(errUnsent)
	return cmd
}

// outcome returns the error of a command that was queued as unsent; pipeline is the
// error of its pipeline.
func outcome(cmd redis.Cmder, pipeline error) error {
	if err := cmd.Err(); err != errUnsent || pipeline == nil {
		return err
	}
	return pipeline
}

// failures gathers the errors of a pipeline's commands. A broken connection fails all
// of them alike, so it keeps one of each text, with the first key that has it.
type failures struct {
	keys int
	errs []error
	seen map[string]bool
}

func (f *failures) add(key string, err error) {
	f.keys++
	if text := err.Error(); !f.seen[text] {
		if f.seen == nil {
			f.seen = make(map[string]bool)
		}
		f.seen[text] = true
		f.errs = append(f.errs, fmt.Errorf("%q: %w", key, err))
	}
}

// err returns what was gathered, nil if that is nothing.
func (f *failures) err(op string) error {
	if f.keys == 0 {
		return nil
	}
	return fmt.Errorf("remote: %s: %d keys failed: %w", op, f.keys, errors.Join(f.errs...))
}
