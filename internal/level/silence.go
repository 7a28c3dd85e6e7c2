package level

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// answered reports whether the store has answered a call that failed with err: the server has replied
// with an error, or the key has no place for a fence or a lease. Then other calls will be answered,
// too.
func answered(err error) bool {
	if errors.Is(err, ErrUnavailable) {
		return false
	}
	var reply interface{ RedisError() } // go-redis' redis.Error
	return errors.As(err, &reply) || errors.Is(err, remote.ErrNoSibling)
}

// silenced sets the Silent of those of recs for which a call got no answer and returned err.
func silenced(recs []*record.Record, err error) {
	if err == nil {
		return
	}
	for i, failed := range each(recs, err) {
		noteSilence(recs[i], failed)
	}
}

// noteSilence sets the Silent of rec if a call for it failed with err because there was no answer.
func noteSilence(rec *record.Record, err error) {
	if err != nil && !answered(err) {
		rec.Silent = err
	}
}

// silence is what is known of a remote that may not answer. While it is quiet, and a check that was given
// up has not ended, no check begins. When it has ended without an answer, one check at a time begins: the
// probe. An answer to any read ends that: one connection may hang, and others work.
//
// There is one silence for the whole remote. On a cluster, a master that hangs holds back the checks of
// the keys of all masters, until one read of any of them is answered. Which master has a key is known
// to the adapter alone; a Remote does not tell.
type silence struct {
	quiet atomic.Bool  // the last that is known is that a read had no answer
	open  atomic.Int64 // probes, and checks that were given up, that have not ended
}

// maxOpen bounds the checks that were given up and have not ended, if other reads are answered.
const maxOpen = 8

// enter reports whether a check may begin, and whether it is a probe, which must end with leave.
func (s *silence) enter() (probe, ok bool) {
	if s.quiet.Load() {
		probe = s.open.CompareAndSwap(0, 1)
		return probe, probe
	}
	return false, s.open.Load() < maxOpen
}

// Quiet reports whether the remote gave no answer to the last read.
func (r *Remote) Quiet() bool { return r.silence.quiet.Load() }

// leave ends a probe, or a check that was given up.
func (s *silence) leave() { s.open.Add(-1) }

// hear notes the end of a read of recs.
func (s *silence) hear(ctx context.Context, recs []*record.Record) {
	quiet := true
	for _, rec := range recs {
		quiet = quiet && rec.Silent != nil
	}
	if quiet && ctx.Err() != nil {
		return // its caller gave up
	}
	if s.quiet.Load() != quiet { // reads of healthy remotes only look
		s.quiet.Store(quiet)
	}
}
