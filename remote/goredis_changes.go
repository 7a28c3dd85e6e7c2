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
	// maxCrossings bounds how often a change is sent with a new stamp.
	maxCrossings = 10
)

// errCrossed is an answer of the server.
var errCrossed = keyError("remote: other changes of the key by this process came first, again and again; try again")

// changeItems handles a batch of changes by a changeScript. add puts an item into a call, with the number
// of its stamp. A change that has crossed a later one of this adapter is sent again with a new number:
// the script cannot tell it from a late attempt, whose reply nobody reads.
func (r *GoRedisV9Adapter) changeItems(ctx context.Context, b itemBatch, add func(c *scriptCall, i int, stamp uint64) error) (replies []any, err error) {
	b.writer, b.changes = r.fences.name, true
	items := make([]int, b.n)
	for i := range items {
		items[i] = i
	}
	replies = make([]any, b.n)
	for range maxCrossings {
		part, first := b, r.fences.numbers(len(items))
		part.n = len(items)
		part.key = func(n int) string { return b.key(items[n]) }
		part.add = func(c *scriptCall, n int) error { return add(c, items[n], first+uint64(n)) }
		some, failed := r.evalItems(ctx, part)
		err = joinErrors(err, failed)
		var again []int
		for n, reply := range some {
			if replies[items[n]] = reply; reply == crossed {
				replies[items[n]] = nil
				again = append(again, items[n])
			}
		}
		if items = again; len(items) == 0 {
			return replies, err
		}
	}
	var failed failures
	for _, i := range items {
		failed.add(b.key(i), errCrossed)
	}
	return replies, joinErrors(err, failed.err(b.op))
}

// joinErrors is errors.Join that returns a single error as it is.
func joinErrors(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return errors.Join(a, b)
}
