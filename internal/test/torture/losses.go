package torture

import (
	"slices"
	"time"
)

// This file has what Redis itself forgets: fences that it evicts, and writes that it had acknowledged
// and that a promoted replica did not have.

// revival is a version of a key that a promoted replica had: writes that were acknowledged since may
// not have been replicated. It is right to return this version, and no other old one, until the key
// is written again, or until the remote has had a newer version.
type revival struct {
	version int64
	since   instant // when all nodes were moved to the replica
	newer   *write  // the write after which the version must not come back; nil if there is none yet
	written bool    // the key was written, and not only read, since
}

// promoted records that the new master had a version of a key when all nodes were moved to it.
func (j *judge) promoted(key int, version int64, since instant) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.ledgerLocked(key)
	l.revived = keepNewest(l.revived, revival{version: version, since: since}, maxRevivals)
}

// maxRevivals bounds the number of revivals that are kept of a key.
const maxRevivals = 20

// supersede ends the revivals of older versions than that of w. since is when w can have begun to
// have an effect.
func (l *ledger) supersede(w write, since instant) {
	for i := range l.revived {
		v := &l.revived[i]
		if w.err != "" || since <= v.since || w.version <= v.version {
			continue
		}
		if v.newer == nil {
			v.newer = &w
		}
		v.written = v.written || w.how != sighting
	}
}

// sighting is the How of a write that stands for a read: the remote had the version when it had ended.
const sighting = "sighting"

// nobody is the node of a sighting.
const nobody = -1

// sight records what a read of the remote has found.
func (l *ledger) sight(r read) {
	l.supersede(write{node: nobody, key: r.key, how: sighting, version: r.version, began: r.began, ended: r.ended}, r.began)
}

// undone reports whether a version may be that of a promoted replica.
func (l *ledger) undone(version int64, visible func(w write) bool) bool {
	return slices.ContainsFunc(l.revived, func(v revival) bool {
		return v.version == version && (v.newer == nil || !visible(*v.newer))
	})
}

// evicted records that the fence of a key may have been evicted at this time.
func (j *judge) evicted(key int, when instant) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.ledgerLocked(key)
	l.evicted = keepNewest(l.evicted, when, maxEvictions)
}

// maxEvictions bounds the number of evictions that are kept of a key.
const maxEvictions = 1000

func (l *ledger) evictedWithin(from, to instant) bool {
	return slices.ContainsFunc(l.evicted, func(at instant) bool { return from <= at && at <= to })
}

// forgot records that Redis may have lost any fence in this time.
func (j *judge) forgot(from, to instant) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forgotten = append(j.forgotten, span{from, to})
}

// maxLoad is that of WithFence on the nodes.
const maxLoad = time.Second

// mutationTail is how long after the death of its node a Mutate can still matter: the database may
// make the change a little later, and a load from before that may still be stored, for maxLoad.
const mutationTail = 2 * maxLoad

// coveredLocked reports whether the fence of a Mutate was closed until no load from before its change
// could be stored any more. Then it does not matter whether its node has died.
func (j *judge) coveredLocked(l *ledger, w write) bool {
	until := w.ended + mutationTail
	return !w.opened && !l.evictedWithin(w.began, until) && !j.forgotten.touch(w.began, until)
}

// silentLocked reports whether a Mutate said nothing of a fence that was evicted while its function
// ran. If the link was faulty, the network may have delivered once more, and late, what closed it.
func (j *judge) silentLocked(w write) bool {
	return w.opened && !w.lost && w.err == "" && !j.nodeLocked(w.node).cut.touch(w.began, w.ended)
}
