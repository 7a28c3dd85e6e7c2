package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// node is a process of the fleet, seen from the story.
type node struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

// endTime is how long a node may take to stop.
const endTime = 10 * time.Second

// startNode runs this program again, as a node on the Redis at addr. The node is killed when ctx
// ends.
func startNode(ctx context.Context, name, addr, dir string) (*node, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := &node{name: name, cmd: exec.CommandContext(ctx, self, "-node", name, "-redis", addr, "-database", dir)}
	n.cmd.Stderr = &logOf{node: name}
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("node %s did not start: %w", name, errors.Join(err, n.stop()))
	}
	n.url = "http://" + strings.TrimSpace(line)
	return n, nil
}

// stop stops the node and waits until it has ended.
func (n *node) stop() error {
	_ = n.stdin.Close()
	late := time.AfterFunc(endTime, func() { _ = n.cmd.Process.Kill() })
	defer late.Stop()
	if err := n.cmd.Wait(); err != nil {
		return fmt.Errorf("node %s: %w", n.name, err)
	}
	return nil
}

// kill ends the node as a crash would, on Unix by SIGKILL.
func (n *node) kill() error {
	if err := n.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = n.cmd.Wait() // its error says that the node was killed
	return nil
}

func (n *node) read(ctx context.Context, id int) (answer, error) {
	var a answer
	if err := n.call(ctx, http.MethodGet, fmt.Sprintf("/users/%d", id), &a); err != nil {
		return a, err
	}
	if a.Failed != "" {
		return a, fmt.Errorf("node %s reads user %d: %s", n.name, id, a.Failed)
	}
	return a, nil
}

// rename makes the node change a user. The answer says whether it did.
func (n *node) rename(ctx context.Context, id int, name string) (a answer, err error) {
	err = n.call(ctx, http.MethodPut, fmt.Sprintf("/users/%d?name=%s", id, url.QueryEscape(name)), &a)
	return a, err
}

func (n *node) health(ctx context.Context) (h health, err error) {
	err = n.call(ctx, http.MethodGet, "/health", &h)
	return h, err
}

// stopAt makes the next query or transaction of the node stop at p, stopped waits until it has
// stopped, and goOn lets it continue.
func (n *node) stopAt(ctx context.Context, p point) error {
	return n.call(ctx, http.MethodPost, "/stop?at="+url.QueryEscape(string(p)), nil)
}

func (n *node) stopped(ctx context.Context) error {
	return n.call(ctx, http.MethodGet, "/stopped", nil)
}

func (n *node) goOn(ctx context.Context) error { return n.call(ctx, http.MethodPost, "/go", nil) }

func (n *node) call(ctx context.Context, method, path string, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, n.url+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	if err == nil && result != nil {
		err = json.Unmarshal(body, result)
	}
	if err != nil {
		return fmt.Errorf("node %s: %s %s: %w", n.name, method, path, err)
	}
	return nil
}

// output is held while a line of the story or of a log is printed.
var output sync.Mutex

// say prints a line of the story.
func say(format string, v ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", v...)
}

// logOf prints the log of a node, line by line.
type logOf struct {
	node string
	rest []byte // the beginning of a line that has not ended
}

func (l *logOf) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ended := bytes.Cut(l.rest, []byte("\n"))
		if !ended {
			return len(p), nil
		}
		say("     | log of %s: %s", l.node, line)
		l.rest = rest
	}
}
