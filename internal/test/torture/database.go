package torture

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// database has the newest version of every row. It answers after a random time, so that what
// it says may be old when it arrives.
type database struct {
	listener net.Listener
	wg       sync.WaitGroup
	tardy    atomic.Bool // what it answers to reads has always been so for a while

	mu    sync.Mutex
	conns map[net.Conn]struct{}    // guarded by mu; nil: it is closed
	rows  map[int]int64            // guarded by mu
	made  map[uint64]map[int]int64 // guarded by mu: the versions that an update made
}

// query asks the database for rows, or to update them.
type query struct {
	Keys   []int
	Update uint64 // the number of the update; zero: it is none
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

// answer returns the versions of the rows, in their order, as they are at some time between the
// question and the answer.
func (db *database) answer(q query) []int64 {
	before, after := latency(q.Update != 0)
	if q.Update == 0 && db.tardy.Load() {
		before, after = 0, 20*time.Millisecond+rand.N(40*time.Millisecond)
	}
	time.Sleep(before)
	defer time.Sleep(after)
	return db.do(q)
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

// madeBy returns the version of each row that an update has made, and forgets them.
func (db *database) madeBy(update uint64) map[int]int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	made := db.made[update]
	delete(db.made, update)
	return made
}

// close ends what runs, but for answers that are under way.
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

// latency returns how long an answer takes, before and after the rows are read. A few reads
// take longer than a node may serve what has changed: whoever waits for them must not begin to
// after that.
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
	if rand.IntN(2) == 0 { // what is read first is old longest
		return 0, total
	}
	before = rand.N(total + 1)
	return before, total - before
}

// absent says that a version is one in which the row does not exist.
func absent(version int64) bool { return version%absentEvery == 0 }

const absentEvery = 8

// newestAbsent returns the newest version up to one in which the row does not exist, zero if
// there is none.
func newestAbsent(upTo int64) int64 { return upTo - upTo%absentEvery }
