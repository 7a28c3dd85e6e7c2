package torture

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// How many calls of a node are under way at a time.
const (
	workers     = 5
	longWorkers = 15
)

// drive has the nodes read and write until stop is closed. Each worker keeps to a node, so
// that one that stands still does not keep the others from working.
func (f *fleet) drive(stop <-chan struct{}) (wait func()) {
	var wg sync.WaitGroup
	for _, m := range f.nodes {
		for range f.workers {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(rand.N(4 * time.Millisecond)):
					}
					if rand.IntN(6) == 0 {
						m.write(pick(writings), false)
					} else {
						m.read(pick(readings))
					}
				}
			})
		}
	}
	return wg.Wait
}

// someKeys returns one key, or some, each once: mostly hot ones.
func someKeys(many bool) []int {
	n := 1
	if many {
		n += rand.IntN(6)
	}
	chosen := make([]int, 0, n)
	for _, i := range rand.Perm(hotKeys)[:min(n, hotKeys)] {
		if rand.IntN(4) == 0 {
			i = hotKeys + rand.IntN((keys-hotKeys)/hotKeys)*hotKeys + i // a cold one, also each once
		}
		chosen = append(chosen, i)
	}
	return chosen
}

// read has the node read, and the judge look at what it returns.
func (m *member) read(o operation) {
	q := request{How: o.how, Keys: someKeys(o.many)}
	began := m.f.now()
	a := m.ask(q)
	if a.Err == errGone.Error() {
		time.Sleep(20 * time.Millisecond) // it will be started again
		return
	}
	m.judge(q, began, a)
}

// judge has the judge look at the answer to a read.
func (m *member) judge(q request, began instant, a answer) {
	ended := m.f.now()
	for i, key := range q.Keys {
		r := read{
			node: m.config.Number, key: key, how: q.How, began: began, ended: ended,
			version: a.Versions[i], newest: m.f.database.newest(key), err: a.Err,
			skipsLocal: q.How == peeksRemotely, doubted: a.Doubted, unanswered: a.Unanswered,
		}
		if r.version == notThere {
			// It does not say of which version that is so. The newest one is the one that makes
			// it right, if any does; if the row always was there, none does.
			if r.version = newestAbsent(r.newest); r.version == 0 {
				r.version = r.newest + 1
			}
		}
		m.f.judge.read(r)
	}
}

// write has the node write, and notes what came of it. With wait, it waits for others that
// write the same, and otherwise leaves it. It reports whether the write was acknowledged.
func (m *member) write(o operation, wait bool, chosen ...int) bool {
	if chosen == nil {
		chosen = someKeys(o.many)
	}
	release, ok := m.f.lock(chosen, o.carries, wait)
	if !ok {
		return false
	}
	defer release()
	q := request{How: o.how, Keys: chosen, Update: m.f.updates.Add(1)}
	began := m.f.now()
	a := m.ask(q)
	ended := m.f.now()
	// A client that gets no answer sends it again.
	again := o.carries && (a.Err != "" || ended-began >= redisTimeout || !m.f.judge.linkWhole(m.config.Number, began, ended))
	for key, version := range m.f.database.madeBy(q.Update) {
		m.f.judge.wrote(write{
			node: m.config.Number, key: key, how: o.how, version: version,
			began: began, ended: ended, err: a.Err, again: again,
		})
	}
	return a.Err == ""
}

// lock locks keys for a write. Writes that carry values have them for themselves.
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

// settle waits until nothing is under way any more, and removes what no node will: what was
// being written by one that died, and what the network has delivered late.
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

// compare reports each node that has of a key, in any level, something else than the database.
func (f *fleet) compare() (differences []string) {
	for _, m := range f.nodes {
		for key := range keys {
			for _, how := range []string{peeks, peeksRemotely, peeks} {
				a := m.ask(request{How: how, Keys: []int{key}})
				newest := f.database.newest(key)
				got := a.Versions[0]
				if got == notThere && absent(newest) {
					got = newest
				}
				if a.Err != "" || got != 0 && got != newest {
					differences = append(differences, fmt.Sprintf("node %d, %s of %d: %d %s, the database has %d:\n  %s", m.config.Number, how, key, a.Versions[0], a.Err, newest, f.judge.historyOf(key)))
				}
			}
		}
	}
	return differences
}
