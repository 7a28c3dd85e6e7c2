package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/flight"
	"github.com/mgtv-tech/jetcache-go/internal/load"
	"github.com/mgtv-tech/jetcache-go/internal/quote"
	"github.com/mgtv-tech/jetcache-go/internal/record"
)

func (c *jetCache) Get(ctx context.Context, key string, val any) error {
	return c.get(ctx, key, item{value: val})
}

func (c *jetCache) GetSkippingLocal(ctx context.Context, key string, val any) error {
	return c.get(ctx, key, item{value: val, skipLocal: true})
}

func (c *jetCache) Exists(ctx context.Context, key string) bool {
	return c.get(ctx, key, item{}) == nil
}

// get reads both levels, and loads nothing.
func (c *jetCache) get(ctx context.Context, key string, opts item) error {
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	if err := checkDestination(opts.value); err != nil {
		return err
	}
	if c.local.Exists() && !opts.skipLocal {
		if data, ok := c.local.Get(key); ok {
			c.observe.LocalHit()
			return c.deliver(key, data, opts.value)
		}
		c.observe.LocalMiss()
	}
	s := newSingle(c, key, opts)
	if c.remote.Exists() {
		note := c.flights.Note(key)
		defer note.Release()
		if s.readRemote(ctx, note) {
			return c.finish(key, s.rec.Out, opts.value)
		}
		c.observe.RemoteMiss()
	}
	c.observe.Miss()
	if err := s.rec.Got.Err; err != nil {
		return fmt.Errorf("cache: reading %s: %w", quote.Key(key), err)
	}
	return ErrCacheMiss
}

func (c *jetCache) Once(ctx context.Context, key string, opts ...ItemOption) error {
	return c.once(ctx, key, newItem(opts))
}

func (c *jetCache) once(ctx context.Context, key string, opts item) error {
	ctx, err := c.begin(ctx, key)
	if err != nil {
		return err
	}
	if err := checkDestination(opts.value); err != nil {
		return err
	}
	if opts.refresh {
		c.keepFresh(key, opts)
	}
	damaged := false
	if !opts.skipLocal {
		if data, ok := c.local.GetUnlessEarly(key); ok {
			err := c.deliver(key, data, opts.value)
			if opts.do == nil || !isUndecodable(err) {
				c.observe.LocalHit()
				if opts.explain != nil {
					*opts.explain = c.explainLocal(key)
				}
				return err
			}
			damaged = true
		}
	}
	s := newSingle(c, key, opts)
	s.reload = damaged
	for {
		out, err := s.read(ctx)
		if err != nil {
			return err
		}
		err = c.finish(key, out, opts.value)
		switch {
		case !isUndecodable(err):
			return err
		case s.loaded() && assign(opts.value, s.value):
			c.reportUndecodable(key, err)
			return nil
		case !s.reloads():
			return err
		}
	}
}

// finish gives a caller the outcome of a read or a load.
func (c *jetCache) finish(key string, out record.Outcome, dst any) error {
	if err := c.without(out); err != nil {
		return err
	}
	return c.decode(key, out.Data, dst)
}

// without returns the error of an outcome that has no value, nil if it has one.
func (c *jetCache) without(out record.Outcome) error {
	switch out.Kind {
	case record.Value:
		return nil
	case record.NotFound:
		return c.errNotFound
	default:
		return ErrCacheMiss
	}
}

// isNotFound reports whether a loader's err says that the record does not exist. A panic does not
// say that, whatever it was given.
func (c *jetCache) isNotFound(err error) bool {
	var panicked *PanicError
	return slices.ContainsFunc(c.errsNotFound, func(not error) bool { return errors.Is(err, not) }) && !errors.As(err, &panicked)
}

// notFoundTexts are those of errors by which well-known libraries say that a record does not
// exist. They are compared as texts, because the cache does not depend on those libraries.
var notFoundTexts = []string{
	"sql: no rows in result set",    // database/sql
	"no rows in result set",         // jackc/pgx
	"record not found",              // gorm
	"mongo: no documents in result", // mongo-driver
}

// suspectNotFound warns of a loader's error that seems to say that the record does not exist,
// while WithErrNotFound was not given: such records are loaded again by each read.
func (c *jetCache) suspectNotFound(err error) {
	if c.errNotFound != ErrNotFound { //nolint:errorlint // asks whether WithErrNotFound was given, and that error may wrap ErrNotFound
		return
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if slices.Contains(notFoundTexts, e.Error()) {
			c.warned.notFound.Do(func() {
				c.observe.Warn(nil, "a loader returned %q, which is taken for a failure, so that records which do not exist are loaded by each read; give that error to WithErrNotFound", e.Error())
			})
			return
		}
	}
}

// assign gives dst, a pointer, the value that a loader returned. It reports false if the value
// is of another type.
func assign(dst, v any) bool {
	to, from := reflect.ValueOf(dst), reflect.ValueOf(v)
	if !to.IsValid() || !from.IsValid() {
		return false
	}
	to = to.Elem()
	if from.Kind() == reflect.Pointer && !from.IsNil() && !from.Type().AssignableTo(to.Type()) {
		from = from.Elem()
	}
	if !from.Type().AssignableTo(to.Type()) {
		return false
	}
	to.Set(from)
	return true
}

// maxRounds bounds how often one call asks for a key again because a load has failed with its
// leader, or because what a loader returned cannot be decoded. Loads without a loader do not count:
// there are readers that have none, and they must not keep others from loading.
const maxRounds = 16

// retry says whether a caller asks again for a key that another caller has led.
type retry uint8

const (
	retryNever   retry = iota
	retryAlways        // the leader had no loader, or used a level that this caller skips
	retryBounded       // the load ended with the leader's own context
)

// retryOf says what a caller makes of the result of another caller's load.
func retryOf(out record.Outcome, err error, opts *item, loads bool) retry {
	switch {
	case flight.LeaderLeft(err):
		return retryBounded
	case err != nil:
		return retryNever
	case out.Kind == record.Miss && loads, out.From == record.Local && opts.skipLocal:
		return retryAlways
	}
	return retryNever
}

// single is the read of one key, and the source of its load. The caller and the load it leads
// share it: the caller reads what the load has written only when that has ended.
type single struct {
	c    *jetCache
	key  string
	opts item
	req  load.Request
	rec  record.Record
	recs [1]*record.Record

	value  any           // what the loader returned
	reload bool          // what is stored cannot be decoded
	led    bool          // the last result is not that of another caller's load
	from   record.Source // of the last result
	rounds int           // see maxRounds

	// For the Info of the call, if it asks for one.

	began   time.Time
	locally Reason // why the local level did not answer
	failure error  // in place of which a stale value was taken
}

// loaded reports whether the last result is what this caller's own loader returned.
func (s *single) loaded() bool { return s.led && s.from == record.Loader }

func newSingle(c *jetCache, key string, opts item) *single {
	s := &single{c: c, key: key, opts: opts}
	s.req = c.request(s, EventTypeSetByOnce, &opts)
	return s
}

// request returns the request of a read with opts.
func (c *jetCache) request(from load.Source, event EventType, opts *item) load.Request {
	return load.Request{
		Source: from, Event: int(event), TTL: opts.ttl, SkipLocal: opts.skipLocal,
		Timeout: orOf(opts.loadTimeout, c.Options.load.timeout),
		Stale:   c.staleOf(opts),
		Beta:    c.betaOf(opts),
	}
}

// records returns the record of the key for a read that began with note.
func (s *single) records(note flight.Note[record.Outcome]) []*record.Record {
	silent := s.rec.Silent // a remote that gave no answer to this call is not called again
	s.rec = record.Record{Key: s.key, Note: note, If: s.opts.condition, Reload: s.reload, Silent: silent}
	s.recs[0] = &s.rec
	return s.recs[:]
}

// readRemote reads the remote outside of a load. It reports whether there was an answer.
func (s *single) readRemote(ctx context.Context, note flight.Note[record.Outcome]) bool {
	return len(s.c.path.Read(ctx, &s.req, s.records(note))) == 0
}

// read returns what the levels have of the key, or the result of a load: this caller's, or that
// of another caller. It fills the Info of the call.
func (s *single) read(ctx context.Context) (out record.Outcome, err error) {
	if s.opts.explain == nil {
		return s.readOrLoad(ctx)
	}
	if s.began.IsZero() {
		s.began, s.locally = time.Now(), s.c.localReason(s.key, &s.opts)
	}
	out, err = s.readOrLoad(ctx)
	s.explainRead(out, err)
	return out, err
}

func (s *single) readOrLoad(ctx context.Context) (out record.Outcome, err error) {
	if out, done, err := s.readAtHand(ctx); done {
		return out, err
	}
	if out, ok := s.readBesideRefresh(ctx); ok {
		s.led, s.from = true, out.From
		return out, nil
	}
	for {
		out, led, err := s.joinOrLead(ctx)
		s.led, s.from = led, out.From
		again := retryNever
		if !led && ctx.Err() == nil {
			again = retryOf(out, err, &s.opts, s.opts.do != nil)
		}
		if again == retryBounded {
			s.rounds++
		}
		if again == retryNever || s.rounds >= maxRounds {
			if led && err == nil && s.rec.Due > 0 {
				s.loadInBackground(ctx, s.rec.Due)
			}
			return s.orStale(ctx, out, flight.Settled(err))
		}
	}
}

// reloads reports whether the key is to be loaded, because what read returned cannot be decoded.
// Then the next read loads it.
func (s *single) reloads() bool {
	s.reload = true
	if !s.led && s.from == record.Loader {
		s.rounds++
	}
	return s.opts.do != nil && !s.loaded() && s.rounds < maxRounds
}

// readBesideRefresh reads the remote if a refresh is loading the key: what the remote has
// meanwhile is good.
func (s *single) readBesideRefresh(ctx context.Context) (record.Outcome, bool) {
	if s.reload || !s.c.remote.Exists() || !s.c.flights.InBackground(s.key) {
		return record.Outcome{}, false
	}
	note := s.c.flights.Note(s.key)
	defer note.Release()
	found := s.readRemote(ctx, note)
	if found && s.c.local.Exists() && !s.opts.skipLocal {
		s.c.observe.LocalMiss()
	}
	return s.rec.Out, found
}

// joinOrLead joins the load of the key that is under way, or leads one.
func (s *single) joinOrLead(ctx context.Context) (out record.Outcome, led bool, err error) {
	if ctx.Done() == nil || !s.c.remote.Exists() {
		return s.c.flights.LookAndDo(ctx, s.key, s.look, s.load)
	}
	// The caller may leave while others stay: the look belongs to the load.
	return s.c.flights.Do(ctx, s.key, s.run)
}

// look is the part of a load that reads the levels.
func (s *single) look(ctx context.Context, note flight.Note[record.Outcome]) (out record.Outcome, found bool, err error) {
	rest := s.c.path.Look(ctx, &s.req, s.records(note))
	return s.rec.Out, len(rest) == 0, s.rec.Err
}

// load is the part of a load that calls the loader.
func (s *single) load(ctx context.Context, _ flight.Note[record.Outcome]) (record.Outcome, error) {
	s.c.path.Load(ctx, &s.req, s.recs[:])
	return s.rec.Out, s.rec.Err
}

// run is look and load.
func (s *single) run(ctx context.Context, note flight.Note[record.Outcome]) (record.Outcome, error) {
	s.c.path.Run(ctx, &s.req, s.records(note))
	return s.rec.Out, s.rec.Err
}

// A single is the source of its load; see load.Source.

func (s *single) Loads() bool { return s.opts.do != nil }

func (s *single) Load(ctx context.Context, recs []*record.Record) (keep func(), err error) {
	v, err := s.opts.do(ctx)
	switch {
	case err == nil:
		return func() { s.value, recs[0].Out.Kind = v, record.Value }, nil
	case s.c.isNotFound(err):
		return func() { recs[0].Out.Kind = record.NotFound }, nil
	default:
		s.c.suspectNotFound(err)
		return nil, err
	}
}

func (s *single) Failed(recs []*record.Record, err error) { recs[0].Err = err }

func (s *single) Encode(rec *record.Record) ([]byte, error) { return s.c.encode(rec.Key, s.value) }

// Accept accepts everything: each caller decodes a copy of its own.
func (s *single) Accept(*record.Record, record.Outcome) error { return nil }

func (s *single) Resolve(*record.Record) {}

// Trouble is not reported to the caller: a remote that fails counts as a miss.
func (s *single) Trouble(string, int, error) {}
