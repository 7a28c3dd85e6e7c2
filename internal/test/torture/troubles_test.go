package torture

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mgtv-tech/jetcache-go/internal/test/faultproxy"
)

// trouble makes troubles for all nodes and for Redis, until stop is closed. wait returns when all
// of them have ended.
func (f *fleet) trouble(stop <-chan struct{}) (wait func()) {
	var wg sync.WaitGroup
	for _, p := range f.processes {
		m, deck := p.members[0], f.deck
		if f.mix.reads(m.number) {
			deck = newDeck(lateNews)
		}
		if f.mix.reads(m.number) && f.late > 0 {
			m.bus[0].Delay(faultproxy.ToClient, f.late)
			wg.Go(func() {
				<-stop
				m.bus.heal(slow)
			})
			continue
		}
		wg.Go(func() {
			for pause(stop, f.pause/5+rand.N(f.pause*4/5)) {
				m.noteAll()
				t, lasts := deck.deal()
				f.alone.RLock()
				m.suffer(t, func() { pause(stop, lasts) })
				f.alone.RUnlock()
			}
		})
	}
	wg.Go(func() {
		for f.disturb != nil && pause(stop, f.calm/10+rand.N(f.calm)) {
			f.alone.Lock()
			f.disturb(stop)
			f.alone.Unlock()
		}
	})
	if f.evictions != nil {
		wg.Go(func() { f.evictions.run(stop) })
	}
	return wg.Wait
}

// pause waits for d and returns true. If stop is closed first, it returns false.
func pause(stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}

// sufferTogether stops Redis for a while, or kills it and starts it again without its data.
func (f *fleet) sufferTogether(stop <-chan struct{}) {
	what := "Redis is stopped"
	restart := rand.IntN(2) == 0
	if restart {
		what = "Redis is killed"
	}
	f.begin(what)
	if restart {
		began := f.now()
		f.redis.Kill()
		pause(stop, rand.N(time.Second))
		f.redis.Restart()
		f.judge.forgot(began, f.now())
	} else {
		f.redis.Pause()
		pause(stop, rand.N(1500*time.Millisecond))
		f.redis.Resume()
	}
	f.sums.redis.Add(1)
	f.end(what)
}

// pauseMaster stops one master of a cluster for a while. It is so short that the others do not miss it.
func (f *fleet) pauseMaster(stop <-chan struct{}) {
	const what = "a master is stopped"
	f.begin(what)
	m := f.masters[rand.IntN(len(f.masters))]
	m.Pause()
	pause(stop, rand.N(time.Second))
	m.Resume()
	f.sums.redis.Add(1)
	f.end(what)
}

// begin tells the judge that a trouble of Redis begins.
func (f *fleet) begin(what string) {
	for _, p := range f.processes {
		p.members[0].begins(what, trouble{data: hole})
	}
}

// end tells the judge that a trouble of Redis has ended.
func (f *fleet) end(what string) {
	for _, p := range f.processes {
		p.members[0].ends(what, trouble{data: hole})
	}
}

// failLast makes each node write while it cannot reach the remote, so that the node must repair the
// keys later.
func (f *fleet) failLast() {
	for _, p := range f.processes {
		m := p.members[0]
		m.suffer(trouble{name: "last cut", data: cut}, func() {
			for range 10 {
				m.write(pick(m.f.mix.writings), false)
			}
		})
	}
}

// suffer makes the trouble t for the node until last returns.
func (m *member) suffer(t trouble, last func()) {
	if m.bus[0] == m.data[0] {
		t.data, t.bus = max(t.data, t.bus), whole
	}
	m.begins(t.name, t)
	m.data.damage(t.data)
	m.bus.damage(t.bus)
	switch {
	case t.kill:
		m.f.sums.kills.Add(1)
		m.child.Load().kill()
		for _, mate := range m.members {
			mate.addUp()
		}
		last()
		if err := m.start(); err != nil {
			m.f.t.Errorf("starting a node: %v", err)
		}
	case t.stop:
		m.f.sums.stops.Add(1)
		if err := m.child.Load().stop(); err != nil {
			m.f.t.Errorf("stopping a node: %v", err)
		}
		last()
		if err := m.child.Load().resume(); err != nil {
			m.f.t.Errorf("resuming a node: %v", err)
		}
	default:
		m.f.sums.broken.Add(1)
		last()
		m.data.heal(t.data)
		m.bus.heal(t.bus)
	}
	m.ends(t.name, t)
}

// begins tells the judge that a trouble begins.
func (m *member) begins(what string, t trouble) {
	m.happened(what+": begins", func(l *timeline, now instant) {
		l.faulty.begin(now)
		if t.data != whole {
			l.cut.begin(now)
		}
		if t.stop {
			l.stopped.begin(now)
		}
	})
}

// ends tells the judge that a trouble has ended. Bytes that were held back arrive within the grace.
func (m *member) ends(what string, t trouble) {
	m.happened(what+": ends", func(l *timeline, now instant) {
		if t.stop {
			l.stopped.end(now)
		}
		if t.data != whole {
			l.cut.end(now + grace)
		}
		l.faulty.end(now + grace)
	})
}

// lines are the proxies on the way to Redis: one, or one for each master of a cluster.
type lines []*faultproxy.Proxy

// damage makes a fault of one line, and maybe of others.
func (l lines) damage(b breakage) {
	first := rand.IntN(len(l))
	for i, p := range l {
		if i == first || rand.IntN(3) == 0 {
			damage(p, b)
		}
	}
}

func (l lines) heal(b breakage) {
	for _, p := range l {
		heal(p, b)
	}
}

func damage(p *faultproxy.Proxy, b breakage) {
	direction := []faultproxy.Direction{faultproxy.Both, faultproxy.Both, faultproxy.ToServer, faultproxy.ToClient}[rand.IntN(4)]
	switch b {
	case slow:
		most := 200 * time.Millisecond
		if rand.IntN(2) == 0 { // far longer than a node may return an old version
			most = 2500 * time.Millisecond
		}
		p.Delay(direction, 10*time.Millisecond+rand.N(most))
	case cut:
		p.Cut()
	case hole:
		p.BlackHole(direction)
	case lossy:
		most := longestGap()
		p.Decide(sometimes(func() faultproxy.Fate { return faultproxy.Fate{LoseReply: true, Silence: rand.N(most)} }))
	case torn:
		p.Decide(tear)
	case tardy:
		most := longestGap()
		p.Decide(sometimes(func() faultproxy.Fate { return faultproxy.Fate{Late: 1 + rand.N(most)} }))
	}
}

// longestGap returns a bound for the time between the two runs of a call. Half of them are as long as
// loads usually take, and the others are longer.
func longestGap() time.Duration {
	if rand.IntN(2) == 0 {
		return 100 * time.Millisecond
	}
	return 100 * time.Millisecond << rand.IntN(5)
}

// sometimes decides for a fifth of the calls. So hardly any call fails in all its attempts. The
// others pass, and so do the commands that begin a connection.
func sometimes(fate func() faultproxy.Fate) func(request []byte) faultproxy.Fate {
	return func(request []byte) faultproxy.Fate {
		if rand.IntN(5) > 0 || isGreeting(request) {
			return faultproxy.Fate{}
		}
		return fate()
	}
}

// tear decides that most requests arrive in part. Mostly, some commands of a pipeline arrive as a whole.
func tear(request []byte) faultproxy.Fate {
	if rand.IntN(4) == 0 || isGreeting(request) || len(request) < 2 {
		return faultproxy.Fate{}
	}
	return faultproxy.Fate{Tear: 1 + rand.IntN(len(request)-1), LoseReply: rand.IntN(3) == 0}
}

// isGreeting reports whether request begins a connection.
func isGreeting(request []byte) bool {
	return bytes.Contains(request, []byte("hello")) || bytes.Contains(request, []byte("client"))
}

// heal mends a link. Bytes that were held back arrive, or are lost with their connections.
func heal(p *faultproxy.Proxy, b breakage) {
	switch {
	case b == whole:
	case rand.IntN(4) == 0:
		p.HealByReset()
	default:
		p.Heal()
	}
}
