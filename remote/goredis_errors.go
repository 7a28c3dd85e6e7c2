package remote

import (
	"errors"
	"strings"

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

// failures gathers the errors of a batch's keys.
type failures map[string]error

func (f *failures) add(key string, err error) {
	if *f == nil {
		*f = make(failures)
	}
	(*f)[key] = err
}

// err returns what was gathered, nil if that is nothing.
func (f failures) err(op string) error {
	if len(f) == 0 {
		return nil
	}
	return &KeysError{op, f}
}

// noPermission reports whether the server's ACL does not allow what was asked.
// https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
func noPermission(err error) bool { return redis.HasErrorPrefix(err, "NOPERM") }

// unknownCommand reports whether the server is too old for what was asked.
func unknownCommand(err error) bool {
	return isReply(err) && strings.Contains(strings.ToLower(err.Error()), "unknown command")
}
