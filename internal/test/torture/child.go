package torture

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// child is the process of a node. It runs this program again, answers on its standard output the
// requests on its standard input, and ends when its standard input ends.
type child struct {
	*asker[request, answer]
	cmd   *exec.Cmd
	stdin io.Closer
	said  *tail         // the end of its standard error
	ended chan struct{} // closed when it has ended
}

// request asks a node to do something.
type request struct {
	How    string
	Keys   []int
	Update uint64 // the number of the update, if it is a write
	Cache  int    // the index of the cache in the process
}

// answer is the result of a request.
type answer struct {
	Err string // empty if there was no error
	// Versions are the versions that were read, in the order of the keys. notThere means that the
	// row does not exist, zero that no version was read.
	Versions   []int64
	Done       []bool // of a write that failed: the keys that were changed; nil if none is known to be
	Lost       bool   // a Mutate that lost a fence, and that is complete
	Doubted    bool   // the local level was in doubt, before or after
	Unanswered bool   // a call of the remote failed or was slow meanwhile, or the node does not ask it for some keys
	State      state
}

const notThere = -1

// state is the state of a node's cache.
type state struct {
	Ready   bool
	Gaps    uint64
	Cause   string // of the last gap
	Waiting int    // changed keys that were not sent to the other nodes
	Refused uint64 // loaded values that were not stored
	Repairs int    // keys that must still be removed from the remote
}

// startChild starts this program with an environment variable that makes it a node.
func startChild(variable, value string) (*child, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(path), said: new(tail), ended: make(chan struct{})}
	// A data race ends the node at once, so that the driver notices it.
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
		<-heard // Wait closes the pipe, so all answers must be read before
		_ = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// stop stops the process until resume.
func (c *child) stop() error { return stopProcess(c.cmd.Process) }

func (c *child) resume() error { return resumeProcess(c.cmd.Process) }

// kill ends the process at once, even if it is stopped, and waits for its end.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // the only possible error is that it has ended
	<-c.ended
	_ = c.stdin.Close()
}

// died reports whether the process has ended, and returns what is known of the reason.
func (c *child) died() (why string, ok bool) {
	select {
	case <-c.ended:
		return fmt.Sprintf("%v: %s", c.cmd.ProcessState, c.said), true
	default:
		return "", false
	}
}

// tail keeps the end of the text that is written to it.
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
