package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync/atomic"
)

// A fenceWriter stamps the changes of fences of one adapter. Its methods may be called concurrently.
type fenceWriter struct {
	name string
	last atomic.Uint64 // the number of the newest change
}

// writerBytes is the number of random bytes in the name of a writer, which has two hexadecimal digits
// for each.
const writerBytes = 8

func newFenceWriter() *fenceWriter {
	var random [writerBytes]byte
	_, _ = rand.Read(random[:]) // it returns no error: if it fails, crypto/rand ends the process
	return &fenceWriter{name: hex.EncodeToString(random[:])}
}

// numbers returns the first of n fresh numbers. A change that begins after another one has ended has
// a greater number.
func (w *fenceWriter) numbers(n int) (first uint64) { return w.last.Add(uint64(n)) - uint64(n) + 1 }

const (
	// crossed is the reply for a change that was stamped before another change of its writer, and arrived
	// after it.
	crossed = int64(6)
	// maxCrossings bounds how often a change is sent again.
	maxCrossings = 10
)

// errCrossed is an answer of the server.
var errCrossed = keyError("remote: other changes of the key by this process came first, again and again; try again")

// changeItems handles a batch of changes by a changeScript. add puts an item into a call, with the number
// of its stamp. A change that has crossed a later one of this adapter is sent again with a new number:
// the script cannot tell it from a late attempt, whose reply nobody reads.
func (r *GoRedisV9Adapter) changeItems(ctx context.Context, b itemBatch, add func(c *scriptCall, i int, stamp uint64) error) (replies []any, err error) {
	replies, err = r.changeOnce(ctx, b, add)
	for range maxCrossings {
		again := crossedIn(replies)
		if len(again) == 0 {
			return replies, err
		}
		part := b
		part.n, part.key = len(again), func(n int) string { return b.key(again[n]) }
		some, failed := r.changeOnce(ctx, part, func(c *scriptCall, n int, stamp uint64) error { return add(c, again[n], stamp) })
		for n, reply := range some {
			replies[again[n]] = reply
		}
		err = errors.Join(err, failed)
	}
	var failed failures
	for _, i := range crossedIn(replies) {
		replies[i] = nil
		failed.add(b.key(i), errCrossed)
	}
	return replies, errors.Join(err, failed.err(b.op))
}

// changeOnce sends each change once.
func (r *GoRedisV9Adapter) changeOnce(ctx context.Context, b itemBatch, add func(c *scriptCall, i int, stamp uint64) error) ([]any, error) {
	first := r.fences.numbers(b.n)
	b.writer, b.changes = r.fences.name, true
	b.add = func(c *scriptCall, i int) error { return add(c, i, first+uint64(i)) }
	return r.evalItems(ctx, b)
}

// crossedIn returns the indexes of changes that have crossed others.
func crossedIn(replies []any) (again []int) {
	for i, reply := range replies {
		if reply == crossed {
			again = append(again, i)
		}
	}
	return again
}
