package torture

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// child is a node's process: this program once more, which answers on its standard output what
// it is asked on its standard input, and ends when that ends.
type child struct {
	*asker[request, answer]
	cmd   *exec.Cmd
	stdin io.Closer
	said  *tail         // what it wrote to its standard error
	ended chan struct{} // closed when it has ended
}

// request asks a node to do something.
type request struct {
	How    string
	Keys   []int
	Update uint64 // the number of the update, of a write
}

// answer is what came of it.
type answer struct {
	Err string // empty: nothing went wrong
	// Versions are those of the rows that were read, in the order of the keys: notThere says
	// that a row does not exist, zero that there was no answer.
	Versions   []int64
	Doubted    bool // the local level was in doubt, before or after
	Unanswered bool // a call of the remote failed meanwhile, or it is not asked for some keys
	State      state
}

const notThere = -1

// state is what a node says of itself.
type state struct {
	Ready   bool
	Gaps    uint64
	Cause   string // of the last gap
	Waiting int    // keys that others have not been told of
	Refused uint64 // loaded values that were not stored
	Repairs int    // keys that are still to be removed from the remote
}

// startChild starts this program with an environment variable that makes it a node.
func startChild(variable, value string) (*child, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(path), said: new(tail), ended: make(chan struct{})}
	// A data race ends a node at once, and so is noticed.
	c.cmd.Env = append(os.Environ(), variable+"="+value, "GORACE=halt_on_error=1")
	c.cmd.Stderr, c.cmd.SysProcAttr = c.said, endWithParent()
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.stdin = in
	heard := make(chan struct{})
	c.asker = newAsker[request, answer](out, in, func() { close(heard) })
	go func() {
		<-heard // Wait closes the pipe
		_ = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// stop lets the process not run until resume.
func (c *child) stop() error { return stopProcess(c.cmd.Process) }

func (c *child) resume() error { return resumeProcess(c.cmd.Process) }

// kill ends the process at once, also if it is stopped, and waits for that.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // the only error is that it has ended
	<-c.ended
	_ = c.stdin.Close()
}

// died reports whether the process has ended, and says what it knows of why.
func (c *child) died() (why string, ok bool) {
	select {
	case <-c.ended:
		return fmt.Sprintf("%v: %s", c.cmd.ProcessState, c.said), true
	default:
		return "", false
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

const maxTail = 32 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - maxTail; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
