package remote

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// errUnsent marks a queued command until it has a reply. If a pipeline finds no connection,
// go-redis leaves its commands without an error, as if each of them had an empty reply.
var errUnsent = errors.New("remote: the command was not sent")

// unsent marks cmd with errUnsent.
func unsent[C redis.Cmder](cmd C) C {
	cmd.SetErr(errUnsent)
	return cmd
}

// outcome returns the error of a command that was queued as unsent; pipeline is the error of its
// pipeline.
func outcome(cmd redis.Cmder, pipeline error) error {
	if err := cmd.Err(); !errors.Is(err, errUnsent) || pipeline == nil {
		return err
	}
	return pipeline
}

// failures collects the errors of the keys of a batch.
type failures map[string]error

func (f *failures) add(key string, err error) {
	if *f == nil {
		*f = make(failures)
	}
	(*f)[key] = err
}

// err returns a KeysError with the collected errors, nil if there are none.
func (f *failures) err(op string) error {
	if len(*f) == 0 {
		return nil
	}
	return &KeysError{op, *f}
}

// noPermission reports whether the server's ACL does not allow the command.
// https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
func noPermission(err error) bool { return redis.HasErrorPrefix(err, "NOPERM") }

// unknownCommand reports whether the server is too old for the command, also for one that a script
// has called.
func unknownCommand(err error) bool {
	if !isReply(err) {
		return false
	}
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "unknown command") || strings.Contains(text, "unknown redis command")
}
