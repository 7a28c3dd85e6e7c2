package cache

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// batchLoad is the load that a batch leads, and the source of it. It may go on when the caller
// has left. It shares with the batch only the slots of its keys, and hands over everything else
// in report, when it has ended.
type batchLoad struct {
	*batch                               // only what does not change, and the slots of keys
	claims *flight.Batch[record.Outcome] // nil if the keys are not claimed
	keys   []loadKey
	errs   []error // of the load as a whole
	failed []failedLoad
}

// failedLoad is a call of the loader that has failed.
type failedLoad struct {
	recs []*record.Record
	err  error
}

// loadKey is one key of a batchLoad.
type loadKey struct {
	record.Record
	slot     int  // its index in the batch
	claim    int  // its index in the claims
	hasValue bool // the loader has set its slot
	reported bool // its error is in errs
}

// state returns what the batch makes of the key.
func (k *loadKey) state() slotState {
	switch {
	case k.Out.Kind == record.NotFound:
		return slotAbsent
	case k.Out.Kind == record.Value, k.hasValue:
		return slotSet
	}
	return slotFailed
}

func (b *batch) newLoad(claims *flight.Batch[record.Outcome], open []int) *batchLoad {
	l := &batchLoad{batch: b, claims: claims, keys: make([]loadKey, len(claims.Owned))}
	for n, claim := range claims.Owned {
		k := &l.keys[n]
		k.slot, k.claim = open[claim], claim
		k.Key, k.Index, k.Note = b.keys[k.slot], n, claims.Note(claim)
		_, k.Reload = b.reload[k.slot]
		k.Silent = b.silent
	}
	return l
}

func (l *batchLoad) request() *load.Request {
	req := l.c.request(l, EventTypeSetByMGet, &l.opts)
	return &req
}

func (l *batchLoad) records() []*record.Record {
	recs := make([]*record.Record, len(l.keys))
	for n := range l.keys {
		recs[n] = &l.keys[n].Record
	}
	return recs
}

func (l *batchLoad) run(ctx context.Context) { l.c.path.Run(ctx, l.request(), l.records()) }

// report hands the results to the batch. The load has ended; cause is why, if that was before its
// time.
func (l *batchLoad) report(cause error) {
	b := l.batch
	b.errs = append(b.errs, l.errs...)
	if cause != nil {
		b.errs = append(b.errs, cause)
	}
	l.reportFailed()
	for n := range l.keys {
		k := &l.keys[n]
		b.silent = cmp.Or(b.silent, k.Silent)
		if k.Due > 0 {
			b.isDue(k.slot, k.Due)
		}
		if b.state[k.slot] != slotSet || !k.reported || k.hasValue { // otherwise it is explained by its stale value
			b.infos.led(k.slot, k)
		}
		if !k.reported {
			b.state[k.slot] = k.state()
		}
		switch {
		case k.reported:
		case k.Err != nil:
			if b.state[k.slot] != slotFailed || !b.fallback(k.slot, k.Err) {
				b.errs = append(b.errs, k.Err)
			}
		case b.state[k.slot] == slotFailed && cause == nil:
			b.errs = append(b.errs, missing(k.Key))
		}
	}
}

// reportFailed sets the slots of keys whose load has failed: by what the loader has returned beside its
// error, or by stale values. It reports the error if there is a key that has no stale value.
func (l *batchLoad) reportFailed() {
	for _, f := range l.failed {
		n := 0
		for _, rec := range f.recs {
			k := &l.keys[rec.Index]
			if l.state[k.slot] = k.state(); k.hasValue || !l.fallback(k.slot, f.err) {
				n++
			}
		}
		if n > 0 {
			l.batch.errs = append(l.batch.errs, fmt.Errorf("cache: loading %d keys: %w", n, f.err))
		}
	}
}

// A batchLoad is the source of its load; see load.Source.

func (l *batchLoad) Loads() bool { return l.slots.loads() }

func (l *batchLoad) Load(ctx context.Context, recs []*record.Record) (keep func(), err error) {
	indices := make([]int, len(recs))
	for n, rec := range recs {
		indices[n] = l.keys[rec.Index].slot
	}
	set, err := l.slots.load(ctx, indices)
	return func() {
		found := set()
		for n, rec := range recs {
			k := &l.keys[rec.Index]
			if k.hasValue = found[n]; err != nil {
				continue
			}
			rec.Out.Kind = record.NotFound
			if k.hasValue {
				rec.Out.Kind = record.Value
			}
		}
	}, err
}

// Failed gives the error to the batch once, and to the callers that wait for the keys. The batch
// also gets the values that the loader has returned beside it.
func (l *batchLoad) Failed(recs []*record.Record, err error) {
	l.failed = append(l.failed, failedLoad{slices.Clone(recs), err})
	for _, rec := range recs {
		rec.Err = err
		l.keys[rec.Index].reported = true
		l.Resolve(rec)
	}
}

func (l *batchLoad) Encode(rec *record.Record) ([]byte, error) {
	return l.c.encode(rec.Key, l.slots.value(l.keys[rec.Index].slot))
}

func (l *batchLoad) Accept(rec *record.Record, out record.Outcome) error {
	if out.Kind == record.NotFound {
		return nil
	}
	return l.slots.decode(l.keys[rec.Index].slot, out.Data)
}

// Resolve gives the result to the callers that have joined. Without a loader, an error is the
// batch's alone: another caller may have a loader, or can decode the value.
func (l *batchLoad) Resolve(rec *record.Record) {
	if l.claims == nil {
		return
	}
	err := rec.Err
	if !l.slots.loads() {
		err = nil
	}
	l.claims.Resolve(l.keys[rec.Index].claim, rec.Out, err)
}

// Trouble is reported with the batch.
func (l *batchLoad) Trouble(doing string, keys int, err error) {
	l.errs = append(l.errs, fmt.Errorf("cache: %s %d keys: %w", doing, keys, err))
}
