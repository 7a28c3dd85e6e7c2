package level

import (
	"context"
	"errors"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// OpenFences sets the Nonce in the Token of each of recs to the nonce of its fence. A key without a
// fence gets one. If that fails for a key, its Nonce is empty.
func (r *Remote) OpenFences(ctx context.Context, ttl time.Duration, recs []*record.Record) {
	nonces, err := r.fences.OpenFences(ctx, ttl, record.Keys(recs)...)
	r.failed(ctx, "fence", err)
	silenced(recs, err)
	for i, rec := range recs {
		rec.Token.Nonce = ""
		if i < len(nonces) { // a store may return nothing but its error
			rec.Token.Nonce = nonces[i]
		}
	}
}

// SetFenced stores the Data of each of recs whose fence still holds the Nonce of its Token. A Token
// without a Nonce is not checked. It sets the Stored and the StoreErr of each. If renew is true, the
// fences of stored keys get new nonces, which live for ttl. If the store can do so in the same call, it
// gives back the Lease of each stored record, which is empty then.
func (r *Remote) SetFenced(ctx context.Context, ttl time.Duration, recs []*record.Record, renew bool) error {
	if len(recs) == 0 {
		return nil
	}
	r.writing(recs)
	items := make([]remote.FencedItem, len(recs))
	for i, rec := range recs {
		items[i] = remote.FencedItem{
			Item:      remote.Item{Key: rec.Key, Data: rec.Data, Expire: rec.Life.Remote},
			Nonce:     rec.Token.Nonce,
			Renew:     renew,
			IfAbsent:  rec.If == record.IfAbsent,
			IfPresent: rec.If == record.IfPresent,
			Lease:     rec.Lease,
		}
	}
	outcomes, err := r.fences.SetFenced(ctx, ttl, items...)
	r.failed(ctx, "set", err)
	settle(recs, err)
	for i, o := range outcomes {
		rec := recs[i]
		if rec.Stored = resultOf(o); rec.Stored != record.Failed {
			rec.StoreErr = nil // the outcome of a key is more exact than the error of the call
		}
		if o == remote.FenceReleased || o == remote.FenceWanted {
			rec.Lease, rec.LeaseWanted = "", o == remote.FenceWanted
		}
	}
	return err
}

func resultOf(o remote.FenceOutcome) record.Result {
	switch o {
	case remote.FenceStored, remote.FenceReleased, remote.FenceWanted:
		return record.Stored
	case remote.FenceChanged:
		return record.Refused
	case remote.FenceCondition:
		return record.NotDue
	default:
		return record.Failed
	}
}

// DelFenced removes the keys of recs and renews their fences, which live for ttl then. It sets the
// Stored and the StoreErr of each.
func (r *Remote) DelFenced(ctx context.Context, ttl time.Duration, recs []*record.Record) error {
	err := r.fences.DelFenced(ctx, ttl, record.Keys(recs)...)
	r.failed(ctx, "del", err)
	settle(recs, err)
	return err
}

// CloseFences removes the keys of recs and closes their fences under token, for ttl at most. It sets
// the Stored and the StoreErr of each.
func (r *Remote) CloseFences(ctx context.Context, ttl time.Duration, token string, recs []*record.Record) error {
	err := r.fences.CloseFences(ctx, ttl, token, record.Keys(recs)...)
	r.failed(ctx, "fence", err)
	settle(recs, err)
	return err
}

// ReopenFences removes the keys of recs and undoes the CloseFences with token. It sets the Stored, the
// StoreErr and the FenceLost of each.
func (r *Remote) ReopenFences(ctx context.Context, ttl time.Duration, token string, recs []*record.Record) error {
	err := r.fences.ReopenFences(ctx, ttl, token, record.Keys(recs)...)
	failed := make(map[string]error)
	for i, e := range each(recs, err) {
		if recs[i].FenceLost = errors.Is(e, remote.ErrFenceLost); e != nil && !recs[i].FenceLost {
			failed[recs[i].Key] = e
		}
	}
	switch {
	case len(failed) == 0:
		err = nil
	case len(failed) < len(recs): // the error of the store may also be about lost fences
		err = &remote.KeysError{Op: "reopen fences", Failed: failed}
	}
	r.failed(ctx, "fence", err)
	settle(recs, err)
	return err
}

// AcquireLeases asks for the leases of recs, which live for ttl. It returns as many answers as there
// are asks. If a call fails for a key, its answer is remote.LeaseUnknown. When ctx ends, AcquireLeases
// returns, also if the store does not heed that.
func (r *Remote) AcquireLeases(ctx context.Context, ttl time.Duration, recs []*record.Record, asks []remote.LeaseAsk) []remote.LeaseAnswer {
	answers, err := r.acquireLeases(ctx, ttl, asks)
	r.failed(ctx, "lease", err)
	silenced(recs, err)
	if missing := len(asks) - len(answers); missing > 0 { // of a store that returns nothing but its error
		answers = append(answers, make([]remote.LeaseAnswer, missing)...)
	}
	return answers
}

func (r *Remote) acquireLeases(ctx context.Context, ttl time.Duration, asks []remote.LeaseAsk) ([]remote.LeaseAnswer, error) {
	if r.timeout > 0 { // it ends with ctx
		return r.leases.AcquireLeases(ctx, ttl, asks...)
	}
	answers, _, err := within(ctx, &r.calls, func(ctx context.Context) ([]remote.LeaseAnswer, error) {
		return r.leases.AcquireLeases(ctx, ttl, asks...)
	})
	return answers, err
}

// ReleaseLeases gives back leases, and reports for each whether another node waits for it. The
// failures of loads stay for ttl.
func (r *Remote) ReleaseLeases(ctx context.Context, ttl time.Duration, ends []remote.LeaseEnd) (wanted []bool) {
	a := caught(ctx, func(ctx context.Context) ([]bool, error) { return r.leases.ReleaseLeases(ctx, ttl, ends...) })
	r.failed(ctx, "lease", a.err) // a lease that was not given back expires; a panic counts: nobody may wait for the call
	return a.value
}
