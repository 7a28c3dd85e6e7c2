package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// short is long enough for everything that loopback does at once. A test waits so long for
// something that must not happen.
const short = 60 * time.Millisecond

func TestPassesBothWaysAndEnds(t *testing.T) {
	p := newProxy(t, echo(t))
	c := dial(t, p)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // it is larger than the buffers of the system
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c) // the echo ends when we have closed our side
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
	}
	eventually(t, func() bool { return p.Connections() == 0 })
}

func TestDelay(t *testing.T) {
	for name, direction := range map[string]Direction{"to the server": ToServer, "to the client": ToClient} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, echo(t))
			c := dial(t, p)
			p.Delay(direction, short)
			began := time.Now()
			for word := range strings.SplitSeq("abcdefghijkl", "") { // all are on the line at the same time
				say(t, c, word)
				time.Sleep(time.Millisecond)
			}
			hear(t, c, "abcdefghijkl")
			if took := time.Since(began); took < short || took > 8*short {
				t.Errorf("took %v with a delay of %v", took, short)
			}
			p.Delay(direction, time.Hour)
			say(t, c, "m")
			silence(t, c)
			p.Delay(direction, 0)
			hear(t, c, "m")
		})
	}
	t.Run("both ways", func(t *testing.T) {
		p := newProxy(t, echo(t))
		c := dial(t, p)
		p.Delay(Both, short)
		began := time.Now()
		say(t, c, "a")
		hear(t, c, "a")
		if took := time.Since(began); took < 2*short {
			t.Errorf("took %v with twice a delay of %v", took, short)
		}
	})
}

func TestCutResetsAndRefuses(t *testing.T) {
	p := newProxy(t, echo(t))
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	p.Cut()
	broken(t, c)
	refused(t, p)
	eventually(t, func() bool { return p.Connections() == 0 })
	p.Heal()
	c = dial(t, p)
	say(t, c, "b")
	hear(t, c, "b")
}

func TestBlackHoleHoldsBackUntilHealed(t *testing.T) {
	p := newProxy(t, echo(t))
	old := dial(t, p)
	say(t, old, "a")
	hear(t, old, "a")
	p.BlackHole(Both)
	say(t, old, "b")
	silence(t, old)
	fresh := dial(t, p)
	say(t, fresh, "c")
	silence(t, fresh)
	if n := p.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	p.Heal()
	hear(t, old, "b")
	hear(t, fresh, "c")
}

func TestBlackHoleOfOneDirection(t *testing.T) {
	heard := make(chan byte, 10)
	p := newProxy(t, serve(t, func(c net.Conn) {
		one := make([]byte, 1)
		for {
			if _, err := c.Read(one); err != nil {
				return
			}
			heard <- one[0]
			_, _ = c.Write(one)
		}
	}))
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	<-heard

	p.BlackHole(ToClient)
	say(t, c, "b")
	if got := <-heard; got != 'b' { // the server gets the byte, although the client gets no answer
		t.Errorf("heard %q", got)
	}
	silence(t, c)

	p.Heal()
	hear(t, c, "b")
	p.BlackHole(ToServer)
	say(t, c, "c")
	silence(t, c)
	if len(heard) > 0 {
		t.Error("the server hears through a black hole")
	}
}

func TestBlackHoleHidesTheEnd(t *testing.T) {
	ended := make(chan struct{})
	p := newProxy(t, serve(t, func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	}))
	c := dial(t, p)
	eventually(t, func() bool { return p.Connections() == 1 })
	time.Sleep(short) // until the proxy has connected to the target, too
	p.BlackHole(Both)
	_ = c.Close()
	select {
	case <-ended:
		t.Error("the server saw the end through a black hole")
	case <-time.After(short):
	}
	p.Heal()
	<-ended
}

func TestHealByReset(t *testing.T) {
	p := newProxy(t, echo(t))
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	p.BlackHole(Both)
	say(t, c, "b")
	silence(t, c)
	p.HealByReset()
	broken(t, c)
	c = dial(t, p)
	say(t, c, "c")
	hear(t, c, "c")
}

func TestTargetThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	p := newProxy(t, l.Addr().String())
	refused(t, p)
}

func TestCloseInAnyState(t *testing.T) {
	for name, fault := range map[string]func(*Proxy){
		"none":       func(*Proxy) {},
		"delay":      func(p *Proxy) { p.Delay(Both, time.Hour) },
		"black hole": func(p *Proxy) { p.BlackHole(Both) },
		"cut":        func(p *Proxy) { p.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, echo(t))
			old := dial(t, p)
			say(t, old, "a")
			hear(t, old, "a")
			fault(p)
			_, _ = old.Write([]byte("b"))
			fresh, err := net.Dial("tcp", p.Addr())
			if err == nil {
				defer func() { _ = fresh.Close() }()
			} else if name != "cut" {
				t.Fatal(err)
			}
			for range 2 {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
			p.Heal() // it is too late
			if p.Connections() != 0 {
				t.Errorf("%d connections after Close", p.Connections())
			}
			if c, err := net.Dial("tcp", p.Addr()); err == nil {
				_ = c.Close()
				t.Error("dialled after Close")
			}
			if fresh != nil {
				broken(t, fresh)
			}
		})
	}
}

// Many connections pass quickly changing faults. Each of them gets the beginning of the bytes, in
// order. The race detector and the check for goroutines see all methods at work.
func TestFaultsUnderLoad(t *testing.T) {
	p := newProxy(t, echo(t))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", p.Addr())
				if err != nil {
					continue // the proxy has cut it
				}
				_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
				for n := byte(0); ; n++ {
					one := []byte{n}
					if _, err := c.Write(one); err != nil {
						break
					}
					if _, err := c.Read(one); err != nil {
						break
					}
					if one[0] != n {
						t.Errorf("%d came back for %d", one[0], n)
					}
				}
				_ = c.Close()
			}
		})
	}
	for range 25 {
		for _, fault := range []func(){
			p.Heal, p.Cut, func() { p.Delay(ToServer, time.Millisecond) },
			func() { p.BlackHole(ToClient) }, p.HealByReset, func() { p.BlackHole(Both) },
		} {
			fault()
			time.Sleep(2 * time.Millisecond)
		}
	}
	p.Heal()
	close(stop)
	clients.Wait()
	eventually(t, func() bool { return p.Connections() == 0 })
}

func newProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// serve returns an address, and calls handle for each connection to it until the test ends.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return l.Addr().String()
}

func echo(t *testing.T) string {
	t.Helper()
	return serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

func say(t *testing.T, c net.Conn, words string) {
	t.Helper()
	if _, err := c.Write([]byte(words)); err != nil {
		t.Fatalf("saying %q: %v", words, err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

func silence(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(short))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("want silence, got %d bytes, %v", n, err)
	}
}

// broken fails unless the connection is reset. Silence and a regular end are failures, too.
func broken(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Read(make([]byte, 1))
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("want a reset, got %v", err)
	}
}

// refused fails unless a new connection is reset, while it is made or right after.
func refused(t *testing.T, p *Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	broken(t, c)
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 10s")
		}
	}
}
