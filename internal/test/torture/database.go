package torture

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// database has the newest version of every row. It answers after a random time, so that an answer
// may be out of date when it arrives.
type database struct {
	listener net.Listener
	wg       sync.WaitGroup
	tardy    atomic.Bool // answers to reads are always delayed after the rows are read

	mu    sync.Mutex
	conns map[net.Conn]struct{}    // guarded by mu; nil if the database is closed
	rows  map[int]int64            // guarded by mu
	made  map[uint64]map[int]int64 // guarded by mu: the versions that an update made
	hooks map[uint64]func()        // guarded by mu: what happens right before an update
}

// query reads rows, or updates them.
type query struct {
	Keys   []int
	Update uint64 // the number of the update; zero for a read
}

// startDatabase returns a database that serves on a loopback port, in which every row has
// version 1.
func startDatabase() (*database, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	db := &database{
		listener: listener,
		conns:    make(map[net.Conn]struct{}),
		rows:     make(map[int]int64),
		made:     make(map[uint64]map[int]int64),
		hooks:    make(map[uint64]func()),
	}
	db.wg.Go(db.accept)
	return db, nil
}

func (db *database) addr() string { return db.listener.Addr().String() }

func (db *database) accept() {
	for {
		conn, err := db.listener.Accept()
		if err != nil {
			return
		}
		db.mu.Lock()
		if db.conns == nil {
			db.mu.Unlock()
			_ = conn.Close()
			return
		}
		db.conns[conn] = struct{}{}
		db.mu.Unlock()
		db.wg.Go(func() {
			answerAll(conn, conn, db.answer)
			_ = conn.Close()
			db.mu.Lock()
			defer db.mu.Unlock()
			delete(db.conns, conn)
		})
	}
}

// answer returns the versions of the rows, in their order, at some moment between the question and
// the answer.
func (db *database) answer(q query) []int64 {
	before, after := latency(q.Update != 0)
	if q.Update == 0 && db.tardy.Load() {
		before, after = 0, 20*time.Millisecond+rand.N(40*time.Millisecond)
	}
	if evict := db.takeHook(q.Update); evict != nil {
		evict()
	}
	time.Sleep(before)
	defer time.Sleep(after)
	return db.do(q)
}

// before has hook called when an update has arrived.
func (db *database) before(update uint64, hook func()) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.hooks[update] = hook
}

func (db *database) takeHook(update uint64) func() {
	db.mu.Lock()
	defer db.mu.Unlock()
	hook := db.hooks[update]
	delete(db.hooks, update)
	return hook
}

func (db *database) do(q query) []int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	versions := make([]int64, len(q.Keys))
	for i, key := range q.Keys {
		if q.Update != 0 {
			db.rows[key]++
			if db.made[q.Update] == nil {
				db.made[q.Update] = make(map[int]int64)
			}
			db.made[q.Update][key] = 1 + db.rows[key]
		}
		versions[i] = 1 + db.rows[key]
	}
	return versions
}

// newest returns the version of a row.
func (db *database) newest(key int) int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	return 1 + db.rows[key]
}

// madeBy returns the versions that an update has made, by row, and forgets them.
func (db *database) madeBy(update uint64) map[int]int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	made := db.made[update]
	delete(db.made, update)
	delete(db.hooks, update)
	return made
}

// close ends the database. Answers that are under way may still run.
func (db *database) close() {
	_ = db.listener.Close()
	db.mu.Lock()
	for conn := range db.conns {
		_ = conn.Close()
	}
	db.conns = nil
	db.mu.Unlock()
	db.wg.Wait()
}

// latency returns how long an answer takes, before and after the rows are read. A few reads take
// longer than a node may return an old version: a caller that asks after a change must not join
// such a read.
func latency(update bool) (before, after time.Duration) {
	var total time.Duration
	switch n := rand.IntN(120); {
	case n == 0 && !update:
		total = time.Second + rand.N(time.Second)
	case n < 40:
		total = rand.N(60 * time.Millisecond)
	default:
		total = rand.N(8 * time.Millisecond)
	}
	if rand.IntN(2) == 0 { // rows that are read early may be old when the answer arrives
		return 0, total
	}
	before = rand.N(total + 1)
	return before, total - before
}

// absent reports whether the row does not exist in a version.
func absent(version int64) bool { return version%absentEvery == 0 }

const absentEvery = 8

// newestAbsent returns the newest version up to one in which the row does not exist, zero if
// there is none.
func newestAbsent(upTo int64) int64 { return upTo - upTo%absentEvery }
