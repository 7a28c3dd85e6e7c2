package torture

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"
)

// Processes talk by lines of JSON over a stream. Each line has the number of its call, so that
// answers may overtake each other.

type line[T any] struct {
	N    uint64
	Body T
}

// Errors of calls.
var (
	errGone   = errors.New("torture: the other process is gone")
	errSilent = errors.New("torture: the other process does not answer")
)

// patience bounds the wait for an answer. It is far longer than any answer takes.
const patience = time.Minute

// asker calls the process at the other end of a stream, with questions Q and answers A. Its methods
// may be called concurrently.
type asker[Q, A any] struct {
	writing sync.Mutex
	out     *json.Encoder // guarded by writing

	mu      sync.Mutex
	n       uint64            // guarded by mu
	waiting map[uint64]chan A // guarded by mu: by number; nil if the other end is gone
}

// newAsker returns an asker that reads answers from in. When in ends, it calls ended.
func newAsker[Q, A any](in io.Reader, out io.Writer, ended func()) *asker[Q, A] {
	a := &asker[Q, A]{out: json.NewEncoder(out), waiting: make(map[uint64]chan A)}
	go func() {
		defer ended()
		a.listen(in)
	}()
	return a
}

func (a *asker[Q, A]) listen(in io.Reader) {
	lines := json.NewDecoder(in)
	for {
		var l line[A]
		if lines.Decode(&l) != nil {
			break
		}
		a.mu.Lock()
		answer := a.waiting[l.N]
		delete(a.waiting, l.N)
		a.mu.Unlock()
		if answer != nil {
			answer <- l.Body
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, answer := range a.waiting {
		close(answer)
	}
	a.waiting = nil
}

// ask returns the answer to q. The error is errGone or errSilent.
func (a *asker[Q, A]) ask(q Q) (A, error) {
	var zero A
	answer := make(chan A, 1)
	a.mu.Lock()
	if a.waiting == nil {
		a.mu.Unlock()
		return zero, errGone
	}
	a.n++
	n := a.n
	a.waiting[n] = answer
	a.mu.Unlock()

	a.writing.Lock()
	_ = a.out.Encode(line[Q]{n, q}) // if it fails, in ends, too, and the caller gets errGone
	a.writing.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case got, ok := <-answer:
		if !ok {
			return zero, errGone
		}
		return got, nil
	case <-timer.C:
		return zero, errSilent
	}
}

// answerAll answers the questions on a stream until it ends, each in a goroutine of its own. It
// does not wait for these goroutines.
func answerAll[Q, A any](in io.Reader, out io.Writer, answer func(Q) A) {
	var writing sync.Mutex
	answers := json.NewEncoder(out)
	lines := json.NewDecoder(in)
	for {
		var l line[Q]
		if lines.Decode(&l) != nil {
			return
		}
		go func() {
			body := answer(l.Body)
			writing.Lock()
			defer writing.Unlock()
			_ = answers.Encode(line[A]{l.N, body})
		}()
	}
}
