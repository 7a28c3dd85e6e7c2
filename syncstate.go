package cache

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// SyncState is what is known of a cache's link to the other nodes, and of its fences.
type SyncState struct {
	// Linked is true if changes are told and heard by WithSyncLocal, Tracking if they are heard
	// from the remote by WithTracking.
	Linked, Tracking bool
	// Ready is true if changes on other nodes are heard. Since is when Ready last changed.
	Ready bool
	Since time.Time
	// Err is why the link, or the tracking, was last down. It is nil if it never was.
	Err error
	// Channel is where changes are told.
	Channel string
	// Gaps counts how often messages may have been missed. LastGap and GapCause are those of
	// the latest gap.
	Gaps     uint64
	LastGap  time.Time
	GapCause string
	// InDoubt is true if the local level may have entries that are older than the last gap. They
	// are checked against the remote when they are read.
	InDoubt bool
	// Sent and Received count messages about changes. Waiting is how many keys have not been
	// told yet. Nodes is how many other nodes there are: the other subscriptions of the channel,
	// and the other caches that share that of this one. It is counted every eight heartbeats.
	// Without tokens (see remote.Sequencer), it is how many nodes were heard lately.
	Sent, Received uint64
	Waiting, Nodes int
	// FillsRefused counts loaded values that were not stored because their keys had been changed
	// meanwhile. Repairs is how many keys wait to be removed from the remote, after a change of
	// them has failed.
	FillsRefused uint64
	Repairs      int
}

// MarshalJSON returns the fields by their names, with the text of Err.
func (s SyncState) MarshalJSON() ([]byte, error) {
	type fields SyncState // without this method
	out := struct {
		fields
		Err string `json:",omitempty"`
	}{fields: fields(s)}
	if s.Err != nil {
		out.Err = s.Err.Error()
	}
	return json.Marshal(out)
}

// SyncStateOf returns what is known of the link of c, which may be a wrapper that embeds a Cache
// or has a method Unwrap() Cache. The zero SyncState is that of a cache without a link.
func SyncStateOf(c Cache) SyncState {
	inner := innermost(c)
	if inner == nil {
		return SyncState{}
	}
	fences, link := inner.fence.State(), inner.sync.State()
	s := SyncState{
		Linked: link.Linked, Tracking: link.Tracking,
		Ready: link.Ready, Since: link.Since, Err: link.Err,
		Gaps: link.Gaps, LastGap: link.LastGap, GapCause: link.GapCause, InDoubt: link.InDoubt,
		Sent: link.Sent, Received: link.Received, Waiting: link.Waiting, Nodes: link.Nodes,
		FillsRefused: fences.Refused, Repairs: fences.Repairs,
	}
	if link.Linked {
		s.Channel = inner.Options.sync.channel
	}
	return s
}

// comparer returns the function by which coherence finds out whose writes the remote has told
// of. If the remote has just what this node wrote, others may have changed the key in between:
// then the local level may have what it read meanwhile, so that must be the same, too.
func comparer(r *level.Remote, local *level.Local, flights *flight.Table[record.Outcome]) func(context.Context, []string, func(string, *record.Got) bool) []string {
	return func(ctx context.Context, keys []string, own func(key string, got *record.Got) bool) (foreign []string) {
		recs := make([]*record.Record, len(keys))
		for i, key := range keys {
			recs[i] = &record.Record{Key: key}
		}
		_ = r.Get(ctx, recs, true) // logged; a key that could not be read counts as changed
		for _, rec := range recs {
			if !rec.Got.There || !own(rec.Key, &rec.Got) {
				foreign = append(foreign, rec.Key)
				continue
			}
			flights.VoidReads(rec.Key, func() {
				if !local.Holds(rec.Key, rec.Got.Data) {
					local.Del(rec.Key)
				}
			})
		}
		return foreign
	}
}
