package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// progress shows how far a replay is. On a terminal it rewrites one line; elsewhere it prints a
// line now and then.
type progress struct {
	out io.Writer
	// width returns the columns of the terminal, and false if out is not a terminal.
	width func() (int, bool)
	// every is how often the line is rewritten, and rarely is how often one is printed elsewhere.
	every, rarely time.Duration

	mu    sync.Mutex
	shown int // guarded by mu: how many columns of the terminal's line are in use
}

func newProgress(f *os.File) *progress {
	return &progress{
		out: f, width: func() (int, bool) { return terminalWidth(f) },
		every: 100 * time.Millisecond, rarely: 2 * time.Second,
	}
}

// start shows status again and again, until the caller calls stop.
func (p *progress) start(status func() string) (stop func()) {
	interval := p.rarely
	if _, terminal := p.width(); terminal {
		interval = p.every
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show(status())
			case <-ended:
				p.clear()
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}

// show shows one line.
func (p *progress) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	width, terminal := p.width()
	if !terminal {
		fmt.Fprintln(p.out, line)
		return
	}
	// A line that fills the terminal would wrap.
	if columns := []rune(line); len(columns) >= width {
		line = string(columns[:max(width-1, 0)])
	}
	columns := len([]rune(line))
	fmt.Fprint(p.out, "\r", line, strings.Repeat(" ", max(min(p.shown, width-1)-columns, 0)))
	p.shown = columns
}

// clear removes the line of a terminal.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown > 0 {
		fmt.Fprint(p.out, "\r", strings.Repeat(" ", p.shown), "\r")
		p.shown = 0
	}
}

// Write writes lines of a log above the line of a terminal.
func (p *progress) Write(text []byte) (int, error) {
	p.clear()
	return p.out.Write(text)
}

// defaultWidth is how wide text is that does not go to a terminal.
const defaultWidth = 80

// widthOf returns how wide text for f may be.
func widthOf(f *os.File) int {
	if width, ok := terminalWidth(f); ok {
		return width
	}
	return defaultWidth
}
