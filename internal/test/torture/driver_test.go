package torture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// The number of calls of a node that are under way at a time.
const (
	workers     = 5
	longWorkers = 15
)

// drive makes the nodes read and write until stop is closed. Each worker uses one node, so that a
// stopped node does not block the workers of the others.
func (f *fleet) drive(stop <-chan struct{}) (wait func()) {
	var wg sync.WaitGroup
	for _, m := range f.nodes {
		for range f.mix.workers(m.number, f.workers) {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(rand.N(f.think)):
					}
					if f.mix.writes(m.number) {
						m.write(pick(f.mix.writings), false)
					} else {
						m.read(pick(f.mix.readings))
					}
				}
			})
		}
	}
	return wg.Wait
}

// someKeys returns one key, or several different ones. Most of them are hot: the first hot keys.
func someKeys(many bool, hot int) []int {
	n := 1
	if many {
		n += rand.IntN(6)
	}
	chosen := make([]int, 0, n)
	for _, i := range rand.Perm(hot)[:min(n, hot)] {
		if rand.IntN(4) == 0 {
			i = hot + rand.IntN((keys-hot)/hot)*hot + i // a cold key, also different from the others
		}
		chosen = append(chosen, i)
	}
	return chosen
}

// read makes the node read, and gives the result to the judge.
func (m *member) read(o operation) {
	q := request{How: o.how, Keys: someKeys(o.many, m.f.mix.hot)}
	began := m.f.now()
	a := m.ask(q)
	if a.Err == errGone.Error() {
		time.Sleep(20 * time.Millisecond) // the node is dead, and will be started again
		return
	}
	m.judge(q, began, a)
}

// judge gives the answer to a read to the judge.
func (m *member) judge(q request, began instant, a answer) {
	ended := m.f.now()
	for i, key := range q.Keys {
		r := read{
			node: m.number, key: key, how: q.How, began: began, ended: ended,
			version: a.Versions[i], newest: m.f.database.newest(key), err: a.Err,
			skipsLocal: q.How == peeksRemotely, pastLocal: q.How == fetchesPast, doubted: a.Doubted, unanswered: a.Unanswered,
		}
		if r.version == notThere {
			// The answer does not say in which version the row does not exist. So the judge gets the
			// newest such version, with which the read is right if it is right with any. If the row
			// existed in all versions, the judge gets one that makes the read wrong.
			if r.version = newestAbsent(r.newest); r.version == 0 {
				r.version = r.newest + 1
			}
		}
		m.f.judge.read(r)
	}
}

// write makes the node write, and records the result. If another write of the keys is under way, it
// waits for that if wait is true, and does nothing otherwise. It reports whether the write was
// acknowledged.
func (m *member) write(o operation, wait bool, chosen ...int) bool {
	if chosen == nil {
		chosen = someKeys(o.many, m.f.mix.hot)
	}
	release, ok := m.f.lock(chosen, o.carries, wait)
	if !ok {
		return false
	}
	defer release()
	q := request{How: o.how, Keys: chosen, Update: m.f.updates.Add(1)}
	opened := m.f.evictDuring(q)
	began := m.f.now()
	a := m.ask(q)
	ended := m.f.now()
	for key, version := range m.f.database.madeBy(q.Update) {
		err := a.Err
		if i := slices.Index(chosen, key); a.Done != nil && a.Done[i] {
			err = ""
			m.f.sums.parts.Add(1)
		}
		m.f.judge.wrote(write{
			node: m.number, key: key, how: o.how, version: version, began: began, ended: ended,
			err: err, again: o.carries, lost: a.Lost, opened: slices.Contains(opened(), key),
		})
	}
	return a.Err == ""
}

// lock locks keys for a write. A write that carries values locks them exclusively.
func (f *fleet) lock(chosen []int, alone, wait bool) (release func(), ok bool) {
	var held []func()
	release = func() {
		for _, unlock := range held {
			unlock()
		}
	}
	for _, key := range chosen {
		l := &f.locks[key]
		switch {
		case wait && alone:
			l.Lock()
		case wait:
			l.RLock()
		case alone && !l.TryLock(), !alone && !l.TryRLock():
			release()
			return nil, false
		}
		if alone {
			held = append(held, l.Unlock)
		} else {
			held = append(held, l.RUnlock)
		}
	}
	return release, true
}

// settle waits until nothing is under way any more, and writes the keys that no node will repair:
// those that a node was writing when it died, and those whose values the network has delivered
// late.
func (f *fleet) settle() {
	f.t.Helper()
	time.Sleep(grace)
	f.wait("quiet", func(m *member) bool {
		m.note()
		s := m.state.Load()
		return s != nil && s.Ready && s.Waiting == 0 && s.Repairs == 0
	})
	time.Sleep(f.bound)
	open := f.judge.unfinished(keys, f.database.newest)
	for _, key := range open {
		if !f.nodes[rand.IntN(len(f.nodes))].write(operation{how: deletes}, true, key) {
			f.t.Errorf("key %d cannot be deleted though all is well", key)
		}
	}
	if len(open) > 0 {
		time.Sleep(f.bound)
	}
}

// compare returns, as text, each key and node that has another version in any level than the
// database.
func (f *fleet) compare() (differences []string) {
	for _, m := range f.nodes {
		for key := range f.compared {
			for _, how := range []string{peeks, peeksRemotely, peeks} {
				a := m.ask(request{How: how, Keys: []int{key}})
				newest := f.database.newest(key)
				got := a.Versions[0]
				if got == notThere && absent(newest) {
					got = newest
				}
				if a.Err != "" || got != 0 && got != newest {
					differences = append(differences, fmt.Sprintf("node %d, %s of %d: %d %s, the database has %d:\n  %s", m.number, how, key, a.Versions[0], a.Err, newest, f.judge.historyOf(key)))
				}
			}
		}
	}
	return differences
}
