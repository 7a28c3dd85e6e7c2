package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/level"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

// Down says what becomes of a key that the local level does not have while the remote is down: while its
// breaker of reads is open.
type Down uint8

// The policies.
const (
	LoadFromOrigin Down = iota // it is loaded
	FailFast                   // the read fails
	StaleOnly                  // the read gets a stale value, or fails
)

// downLife is how long the local level keeps at most what is loaded while the remote is down. Nobody can
// store a newer value in the remote then, and messages about changes may not arrive either.
const downLife = 5 * time.Second

// mayLoad returns those of recs that may be loaded, and ends the others. It is where Down is heeded.
func (p *Path) mayLoad(req *Request, recs []*record.Record) []*record.Record {
	if p.Down == LoadFromOrigin || !p.isDown(recs) {
		return recs
	}
	loadable := make([]*record.Record, 0, len(recs))
	for _, rec := range recs {
		if answered(rec) {
			loadable = append(loadable, rec)
			continue
		}
		rec.Err = fmt.Errorf("%w: %s", level.ErrUnavailable, quote.Key(rec.Key))
		req.Resolve(rec)
	}
	return loadable
}

// answered reports whether the remote has said that it does not have rec.
func answered(rec *record.Record) bool { return !rec.Got.Asked.IsZero() && rec.Got.Err == nil }

// isDown reports whether the remote is down, as far as recs or the breaker know.
func (p *Path) isDown(recs []*record.Record) bool {
	for _, rec := range recs {
		if errors.Is(rec.Silent, level.ErrUnavailable) {
			return true
		}
	}
	return p.Remote.Down()
}

// shorten bounds the local lifetime of those of recs that could not be stored, if the remote is down.
func (p *Path) shorten(recs []*record.Record) {
	if len(recs) == 0 || !p.isDown(recs) {
		return
	}
	for _, rec := range recs {
		if rec.Stored == record.Failed && (rec.Life.Local == record.NoBound || rec.Life.Local > downLife) {
			rec.Life.Local = downLife
		}
	}
}
