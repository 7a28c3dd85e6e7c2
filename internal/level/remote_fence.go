package level

import (
	"context"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/record"
	"github.com/mgtv-tech/jetcache-go/remote"
)

// OpenFences sets the nonce in the Token of each of recs: that of its fence, which gets one if
// it has none. Where that fails, the nonce is empty.
func (r *Remote) OpenFences(ctx context.Context, ttl time.Duration, recs []*record.Record) {
	nonces, err := r.fences.OpenFences(ctx, ttl, record.Keys(recs)...)
	r.failed(ctx, "fence", err)
	for i, nonce := range nonces {
		recs[i].Token.Nonce = nonce
	}
}

// SetFenced stores the Data of recs, each if its fence still holds the nonce of its Token; a
// Token without a nonce is not checked. It sets the Stored and the StoreErr of each. With renew,
// the fences of what is stored get new nonces, for ttl.
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
		}
	}
	outcomes, err := r.fences.SetFenced(ctx, ttl, items...)
	r.failed(ctx, "set", err)
	settle(recs, err)
	for i, o := range outcomes {
		recs[i].Stored = resultOf(o)
	}
	return err
}

func resultOf(o remote.FenceOutcome) record.Result {
	switch o {
	case remote.FenceStored:
		return record.Stored
	case remote.FenceChanged:
		return record.Refused
	case remote.FenceCondition:
		return record.NotDue
	default:
		return record.Failed
	}
}

// DelFenced removes the keys of recs and renews their fences, for ttl. It sets the Stored and
// the StoreErr of each.
func (r *Remote) DelFenced(ctx context.Context, ttl time.Duration, recs []*record.Record) error {
	err := r.fences.DelFenced(ctx, ttl, record.Keys(recs)...)
	r.failed(ctx, "del", err)
	settle(recs, err)
	return err
}

// CloseFences removes the keys of recs and closes their fences in the name of token.
func (r *Remote) CloseFences(ctx context.Context, ttl time.Duration, token string, recs []*record.Record) error {
	err := r.fences.CloseFences(ctx, ttl, token, record.Keys(recs)...)
	r.failed(ctx, "fence", err)
	settle(recs, err)
	return err
}

// ReopenFences removes the keys of recs and takes back what CloseFences did in the name of token.
func (r *Remote) ReopenFences(ctx context.Context, ttl time.Duration, token string, recs []*record.Record) error {
	err := r.fences.ReopenFences(ctx, ttl, token, record.Keys(recs)...)
	r.failed(ctx, "fence", err)
	settle(recs, err)
	return err
}

// AcquireLeases tries to take the leases that asks names. An answer that could not be had is
// remote.LeaseUnknown.
func (r *Remote) AcquireLeases(ctx context.Context, ttl time.Duration, asks []remote.LeaseAsk) []remote.LeaseAnswer {
	answers, err := r.leases.AcquireLeases(ctx, ttl, asks...)
	r.failed(ctx, "lease", err)
	return answers
}

// ReleaseLeases gives back leases, and returns which of them others wait for.
func (r *Remote) ReleaseLeases(ctx context.Context, ttl time.Duration, ends []remote.LeaseEnd) (wanted []bool) {
	wanted, err := r.leases.ReleaseLeases(ctx, ttl, ends...)
	r.failed(ctx, "lease", err) // those that were not given back run out
	return wanted
}
