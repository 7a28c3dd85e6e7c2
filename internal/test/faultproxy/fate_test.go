package faultproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLostReply(t *testing.T) {
	t.Run("at once", func(t *testing.T) { lostReply(t, 0, func(*Proxy) {}) })
	t.Run("after a silence", func(t *testing.T) { lostReply(t, short, func(*Proxy) {}) })
	t.Run("after Heal", func(t *testing.T) { lostReply(t, time.Hour, (*Proxy).Heal) })
}

func lostReply(t *testing.T, silence time.Duration, then func(p *Proxy)) {
	t.Helper()
	target, heard := listener(t)
	p := newProxy(t, target)
	p.Decide(once("lose", Fate{LoseReply: true, Silence: silence}))
	c := dial(t, p)
	say(t, c, "pass")
	hear(t, c, "pass")
	began := time.Now()
	say(t, c, "lose")
	heardIt := []string{<-heard, <-heard}
	then(p)
	closed(t, c)
	if took := time.Since(began); took < min(silence, short) && silence < time.Hour {
		t.Errorf("the connection was closed after %v", took)
	}
	again := dial(t, p)
	say(t, again, "lose")
	hear(t, again, "lose")
	heardIt = append(heardIt, <-heard, <-heard)
	slices.Sort(heardIt[2:])                                                           // the end of a connection, and what comes on another one
	if want := []string{"pass", "lose", "end", "lose"}; !slices.Equal(heardIt, want) { // the target took it twice
		t.Errorf("the target heard %q, want %q", heardIt, want)
	}
	eventually(t, func() bool { return p.Connections() == 1 })
}

func TestLateRequest(t *testing.T) {
	for name, test := range map[string]struct {
		late time.Duration
		then func(p *Proxy)
		want []string
	}{
		"after its time":  {short, func(*Proxy) {}, []string{"late", "late", "end"}},
		"after Heal":      {time.Hour, (*Proxy).Heal, []string{"late", "late", "end"}},
		"without a fate":  {time.Hour, func(p *Proxy) { p.Decide(nil) }, []string{"late", "late", "end"}},
		"never after Cut": {time.Hour, (*Proxy).Cut, []string{"late", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			target, heard := listener(t)
			p := newProxy(t, target)
			p.Decide(once("late", Fate{Late: test.late}))
			c := dial(t, p)
			say(t, c, "late")
			closed(t, c)
			again := dial(t, p)
			say(t, again, "late")
			hear(t, again, "late") // the second attempt comes first
			test.then(p)
			for i, want := range test.want {
				if got := <-heard; got != want {
					t.Errorf("%d: the target heard %q, want %q", i, got, want)
				}
			}
			_ = again.Close()
			eventually(t, func() bool { return p.Connections() == 0 })
		})
	}
}

func TestTornRequest(t *testing.T) {
	target, heard := listener(t)
	p := newProxy(t, target)
	p.Decide(once("torn", Fate{Tear: 2}))
	c := dial(t, p)
	say(t, c, "torn")
	hear(t, c, "to") // the target has replied to what it got
	closed(t, c)
	if got, end := <-heard, <-heard; got != "to" || end != "end" {
		t.Errorf("the target heard %q and %q", got, end)
	}
	again := dial(t, p)
	say(t, again, "torn")
	hear(t, again, "torn")
	_ = c.Close()
	eventually(t, func() bool { return p.Connections() == 1 })

	p.Decide(once("lost", Fate{Tear: 2, LoseReply: true}))
	say(t, again, "lost")
	closed(t, again)
	_ = again.Close()
	eventually(t, func() bool { return p.Connections() == 0 })
}

func TestRedirect(t *testing.T) {
	first, heardFirst := listener(t)
	second, heardSecond := listener(t)
	p := newProxy(t, first)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	p.Redirect(second)
	say(t, c, "b")
	hear(t, c, "b")
	p.HealByReset()
	broken(t, c)
	again := dial(t, p)
	say(t, again, "c")
	hear(t, again, "c")
	if got := []string{<-heardFirst, <-heardFirst, <-heardSecond}; !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the targets heard %q", got)
	}
}

func TestFatesMeetOtherFaults(t *testing.T) {
	target, _ := listener(t)
	p := newProxy(t, target)
	p.Cut()
	p.Decide(once("a", Fate{Late: time.Hour, LoseReply: true})) // it ends the cut
	c := dial(t, p)
	p.Delay(Both, time.Millisecond)
	say(t, c, "a")
	closed(t, c)
	p.BlackHole(ToServer)
	eventually(t, func() bool { return p.Connections() == 1 })
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// once returns a decide that gives the fate to the first such request.
func once(request string, fate Fate) func([]byte) Fate {
	left := make(chan Fate, 1)
	left <- fate
	return func(got []byte) Fate {
		if string(got) == request {
			select {
			case fate := <-left:
				return fate
			default:
			}
		}
		return Fate{}
	}
}

// listener returns a target that echoes, and that says what it has heard: each request, and "end" when
// a connection has ended.
func listener(t *testing.T) (addr string, heard <-chan string) {
	t.Helper()
	words := make(chan string, 100)
	return serve(t, func(c net.Conn) {
		word := make([]byte, 4)
		for {
			n, err := c.Read(word)
			if err != nil {
				words <- "end"
				return
			}
			words <- strings.TrimSpace(string(word[:n]))
			_, _ = c.Write(word[:n])
		}
	}), words
}

// closed fails unless the connection ends without another byte.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, io.EOF) {
		t.Fatalf("want an end, got %d bytes, %v", n, err)
	}
}
