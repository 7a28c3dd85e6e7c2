package resilience

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	cache "github.com/mgtv-tech/jetcache-go"
	"github.com/mgtv-tech/jetcache-go/local"
	"github.com/mgtv-tech/jetcache-go/remote/remotetest"
)

// What the service of the day is made of.
const (
	dayKeys       = 400              // that are read, most of them seldom
	dayChanged    = 40               // that are changed, too: from dayKeys on
	dayTTL        = time.Minute      // of all values
	dayMaxStale   = 10 * time.Minute // of WithResilience
	dayRemote     = 100 * time.Millisecond
	dayLoad       = 5 * time.Second
	dayPatience   = 400 * time.Millisecond // of most callers
	dayLoads      = 8                      // at a time
	dayAftermath  = 8 * time.Second        // until the breakers have closed, and keys are loaded again
	dayReaders    = 6
	dayReaderRest = 300 * time.Millisecond
)

// phase is a part of the day.
type phase struct {
	name  string
	lasts time.Duration
	redis func(ctx context.Context, d *day) error
	db    func(ctx context.Context, d *day) error
}

var errRefused = errors.New("connection refused")

func redisDown(context.Context, *day) error       { return errRefused }
func redisSlow(ctx context.Context, _ *day) error { return sleep(ctx, 2*time.Second) }
func dbError(context.Context, *day) error         { return errDatabase }

// redisFlaps is down for 3s, well for 3s, and so on.
func redisFlaps(_ context.Context, d *day) error {
	if time.Since(d.began)/(3*time.Second)%2 == 0 {
		return errRefused
	}
	return nil
}

// dbHangs ignores its ctx until the phase is over.
func dbHangs(_ context.Context, d *day) error {
	<-d.now.Load().over
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs = time.Now()
	return errDatabase
}

var script = []phase{
	{name: "all is well", lasts: 15 * time.Minute},
	{name: "Redis is down", lasts: 10 * time.Minute, redis: redisDown},
	{name: "all is well again", lasts: 10 * time.Minute},
	{name: "Redis is slow", lasts: 5 * time.Minute, redis: redisSlow},
	{name: "all is well after the slow Redis", lasts: 10 * time.Minute},
	{name: "the database fails", lasts: 5 * time.Minute, db: dbError},
	{name: "all is well after the database", lasts: 10 * time.Minute},
	{name: "both are down", lasts: 5 * time.Minute, redis: redisDown, db: dbError},
	{name: "Redis comes first", lasts: time.Minute, db: dbError},
	{name: "all is well after both", lasts: 10 * time.Minute},
	{name: "the database hangs", lasts: 3 * time.Minute, db: dbHangs},
	{name: "all is well after the hang", lasts: 10 * time.Minute},
	{name: "Redis flaps", lasts: 10 * time.Minute, redis: redisFlaps},
	{name: "the evening", lasts: 16 * time.Minute},
}

// moment is the phase that is on.
type moment struct {
	*phase
	since time.Time
	over  chan struct{} // closed when it ends
}

// day is a service, its stores, and what is known of them.
type day struct {
	t     *testing.T
	began time.Time
	rows  *cache.T[int, dayRow]
	now   atomic.Pointer[moment]

	loading, most atomic.Int64 // loads now, and at most
	reads, stale  atomic.Int64
	unanswered    atomic.Int64

	mu      sync.Mutex
	loaded  map[int]time.Time // when a loader has last returned the row
	version map[int]int       // of rows in the database
	told    map[int]int       // the version of which the cache has been told
	hangs   time.Time         // when the last loader that ignores its ctx has returned
	failed  int               // reads and changes that were not right
}

// dayRow is a row as the database had it.
type dayRow struct {
	ID, Version int
	At          int64 // nanoseconds since the beginning
}

// errorf reports what is not right. Of very many it reports the first ones.
func (d *day) errorf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed++; d.failed <= 20 {
		d.t.Errorf("%s, in %q: %s", time.Since(d.began).Round(time.Millisecond), d.now.Load().name, fmt.Sprintf(format, args...))
	}
}

// load is the database.
func (d *day) load(ctx context.Context, ids []int) (map[int]dayRow, error) {
	n := d.loading.Add(1)
	defer d.loading.Add(-1)
	for most := d.most.Load(); n > most; most = d.most.Load() {
		d.most.CompareAndSwap(most, n)
	}
	found := make(map[int]dayRow, len(ids))
	d.mu.Lock()
	for _, id := range ids {
		found[id] = dayRow{id, d.version[id], int64(time.Since(d.began))}
	}
	d.mu.Unlock()
	if db := d.now.Load().db; db != nil {
		if err := db(ctx, d); err != nil {
			return nil, err
		}
	}
	if err := sleep(ctx, 5*time.Millisecond+rand.N(20*time.Millisecond)); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.loaded[id] = time.Now()
	}
	return found, nil
}

func (d *day) loadOne(ctx context.Context, id int) (dayRow, error) {
	found, err := d.load(ctx, []int{id})
	return found[id], err
}

// partialError is the error of a batch that has not ended in the time of its caller.
type partialError struct{ error }

// before is what is known when a read begins.
type before struct {
	at     time.Time
	moment *moment
	loaded time.Time
	told   int
}

func (d *day) before(id int) before {
	d.mu.Lock()
	defer d.mu.Unlock()
	return before{time.Now(), d.now.Load(), d.loaded[id], d.told[id]}
}

// check judges what a read of id has returned.
func (d *day) check(b before, id int, row dayRow, err error) {
	d.reads.Add(1)
	took := time.Since(b.at)
	var whole *partialError // a batch waits for those of its rows that have no stale value
	known := !errors.As(err, &whole) && !b.loaded.IsZero() && time.Since(b.loaded) < dayMaxStale && id < dayKeys
	loadable := b.moment.db == nil && d.now.Load() == b.moment && time.Since(b.moment.since) > 2*time.Second
	if err != nil {
		d.unanswered.Add(1)
		if known || loadable {
			d.errorf("the read of %d, which was loaded %s ago, is not answered after %s: %v", id, time.Since(b.loaded).Round(time.Millisecond), took, err)
		}
		return
	}
	age := time.Since(d.began) - time.Duration(row.At)
	switch {
	case row.ID != id:
		d.errorf("the read of %d has returned %d", id, row.ID)
	case row.Version < b.told:
		d.errorf("the read of %d has returned version %d, and the cache knew of %d", id, row.Version, b.told)
	case age > dayTTL+dayMaxStale+time.Second:
		d.errorf("the read of %d is %s old", id, age)
	case age > dayTTL+time.Second:
		d.stale.Add(1)
		if b.moment.db == nil && b.moment.redis == nil && time.Since(b.moment.since) > dayAftermath {
			d.errorf("the read of %d is %s old, and all is well", id, age)
		}
	}
}

// hung reports whether loaders have kept their places since began, for which loads wait.
func (d *day) hung(began time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hangs.After(began)
}

// bounded reports a call that takes too long.
func (d *day) bounded(what string, began time.Time, limit time.Duration) {
	if took := time.Since(began); took > limit && (limit < dayLoad || !d.hung(began)) {
		d.errorf("%s takes %s, more than %s", what, took, limit)
	}
}

// reader reads until ctx ends.
func (d *day) reader(ctx context.Context, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(random, 1.1, 8, dayKeys+dayChanged-1)
	for ctx.Err() == nil {
		id := int(zipf.Uint64())
		if seed%2 == 0 { // so that the changed ones are among the hottest for half of the readers
			id = dayKeys + dayChanged - 1 - id
		}
		call, cancel := context.WithTimeout(context.Background(), dayPatience)
		limit := dayPatience
		if random.IntN(20) == 0 { // it has the time
			cancel()
			call, cancel = context.WithCancel(context.Background())
			limit = 4*dayRemote + dayLoad
		}
		began := time.Now()
		if random.IntN(10) == 0 {
			ids := []int{id, int(zipf.Uint64()), int(zipf.Uint64())}
			befores := map[int]before{}
			for _, id := range ids {
				befores[id] = d.before(id)
			}
			rows, err := d.rows.MGetWithErr(call, "row", ids, d.load)
			if call.Err() != nil {
				err = &partialError{err}
			}
			for id, b := range befores {
				row, ok := rows[id]
				if ok {
					d.check(b, id, row, nil)
				} else {
					d.check(b, id, row, err)
				}
			}
			d.bounded("a batch", began, limit)
		} else {
			b := d.before(id)
			row, err := d.rows.Get(call, "row", id, d.loadOne)
			d.check(b, id, row, err)
			d.bounded("a read", began, limit)
		}
		cancel()
		time.Sleep(time.Duration(random.Int64N(int64(2 * dayReaderRest))))
	}
}

// writer changes rows until ctx ends. The rows belong to it alone, so it knows their versions.
func (d *day) writer(ctx context.Context) {
	random := rand.New(rand.NewPCG(7, 7))
	for ctx.Err() == nil {
		id := dayKeys + random.IntN(dayChanged)
		d.mu.Lock()
		d.version[id]++
		row := dayRow{id, d.version[id], int64(time.Since(d.began))}
		d.mu.Unlock()
		began := time.Now()
		if random.IntN(2) == 0 {
			_ = d.rows.Delete(context.Background(), "row", id) // an error says that Redis will be told later
		} else {
			_ = d.rows.Set(context.Background(), "row", id, row)
		}
		d.bounded("a change", began, 2*dayRemote)
		d.mu.Lock()
		d.told[id] = row.Version
		d.mu.Unlock()
		time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second))))
	}
}

func TestADayOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := remotetest.NewMemory()
		store := local.NewOtter(100_000, time.Hour)
		c := cache.New(cache.WithLocal(store), cache.WithRemote(m), cache.WithStatsDisabled(true), cache.WithRemoteExpiry(dayTTL),
			cache.WithResilience(), cache.WithLoadConcurrency(dayLoads))
		d := &day{
			t: t, began: time.Now(), rows: cache.NewT[int, dayRow](c),
			loaded: map[int]time.Time{}, version: map[int]int{}, told: map[int]int{},
		}
		m.SetLatency(time.Millisecond)
		m.SetFault(func(ctx context.Context, _ string, _ ...string) error {
			if redis := d.now.Load().redis; redis != nil {
				return redis(ctx, d)
			}
			return nil
		})
		ctx, stop := context.WithCancel(context.Background())
		var users sync.WaitGroup
		for i := range script {
			next := &moment{&script[i], time.Now(), make(chan struct{})}
			last := d.now.Swap(next)
			if last != nil {
				close(last.over)
			} else {
				for n := range dayReaders {
					users.Go(func() { d.reader(ctx, uint64(n)) })
				}
				users.Go(func() { d.writer(ctx) })
			}
			reads, stale, unanswered := d.reads.Load(), d.stale.Load(), d.unanswered.Load()
			time.Sleep(next.lasts)
			t.Logf("%-34s %6d reads, %5d of them stale, %4d unanswered", next.name, d.reads.Load()-reads, d.stale.Load()-stale, d.unanswered.Load()-unanswered)
		}
		stop()
		users.Wait()
		if d.most.Load() > dayLoads {
			t.Errorf("%d loads at a time, more than %d", d.most.Load(), dayLoads)
		}
		if d.stale.Load() == 0 {
			t.Error("no value was stale: the day was too easy")
		}
		for id := dayKeys; id < dayKeys+dayChanged; id++ { // the remote has no older row than the database
			if row, err := d.rows.Get(t.Context(), "row", id, d.loadOne); err != nil || row.Version != d.version[id] {
				t.Errorf("in the evening: row %d is %+v, %v; its version is %d", id, row, err, d.version[id])
			}
		}
		c.Close()
		store.Close()
		if d.failed > 0 {
			t.Errorf("%d calls were not right", d.failed)
		}
	}) // it fails if a goroutine is left
}
