package torture

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

func TestCallsOvertakeEachOther(t *testing.T) {
	here, there := net.Pipe()
	first := make(chan struct{})
	go answerAll(there, there, func(n int) int {
		switch n {
		case 1: // waits until 2 is answered
			<-first
		case 2:
			defer close(first)
		}
		return 10 * n
	})
	ended := make(chan struct{})
	a := newAsker[int, int](here, here, func() { close(ended) })
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if got, err := a.ask(n); got != 10*n || err != nil {
				t.Errorf("%d is answered with %d, %v", n, got, err)
			}
		})
	}
	wg.Wait()
	_ = there.Close()
	<-ended
	if _, err := a.ask(1); !errors.Is(err, errGone) {
		t.Errorf("after the end: %v", err)
	}
}

func TestACallerGetsAnErrorWhenTheOtherProcessDies(t *testing.T) {
	here, there := net.Pipe()
	asked, never := make(chan struct{}), make(chan struct{})
	defer close(never)
	go answerAll(there, there, func(int) int { close(asked); <-never; return 0 })
	a := newAsker[int, int](here, here, func() {})
	go func() {
		<-asked
		_ = there.Close()
	}()
	if _, err := a.ask(1); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

func TestTheDatabaseCountsVersions(t *testing.T) {
	db, err := startDatabase()
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	conn, err := net.Dial("tcp", db.addr())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	a := newAsker[query, []int64](conn, conn, func() { close(ended) })
	for _, want := range []struct {
		query
		first, second int64
	}{
		{query{Keys: []int{1, 2}}, 1, 1},
		{query{Keys: []int{2, 1}, Update: 7}, 2, 2},
		{query{Keys: []int{1, 3}, Update: 8}, 3, 2},
		{query{Keys: []int{1, 2}}, 3, 2},
	} {
		if got, err := a.ask(want.query); err != nil || got[0] != want.first || got[1] != want.second {
			t.Errorf("%+v: %d, %v", want, got, err)
		}
	}
	if n := db.newest(1); n != 3 {
		t.Errorf("the newest version is %d", n)
	}
	if made := db.madeBy(8); len(made) != 2 || made[1] != 3 || made[3] != 2 {
		t.Errorf("update 8 made %d", made)
	}
	db.close()
	<-ended
}

// A node ends with its driver, and can be stopped and killed.
func TestTheProcessOfANode(t *testing.T) {
	needsProcesses(t)
	db, err := startDatabase()
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	start := func() *child {
		c, err := startChild(nodeVariable, `{"Database":"`+db.addr()+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.kill)
		if _, err := c.ask(request{How: asksState}); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, end := range map[string]func(c *child){
		"its input ends":             func(c *child) { _ = c.stdin.Close() },
		"it is killed":               func(c *child) { c.kill() },
		"it is killed while stopped": func(c *child) { _ = c.stop(); c.kill() },
	} {
		c := start()
		if why, dead := c.died(); dead {
			t.Errorf("%s: it has died before: %s", name, why)
		}
		end(c)
		select {
		case <-c.ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: it has not ended", name)
		}
		if _, dead := c.died(); !dead {
			t.Errorf("%s: it is not known to have ended", name)
		}
	}
	c := start()
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := c.ask(request{How: asksState})
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a node that is stopped answers: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := c.resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}
