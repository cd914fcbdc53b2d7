package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Build compiles lab-probe into dir and returns its path. It has to be called in the directory of
// the tests module or below.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "lab-probe")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "keepalived-charm/tests/cmd/lab-probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build lab-probe: %w: %s", err, bytes.TrimSpace(out))
	}
	return path, nil
}

// A Client is a running lab-probe, usually in another network namespace.
type Client struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer
	ended  chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every event
	started bool
	good    bool
	last    time.Time // of the event that set good
	server  string
	report  *Report
	fault   error
}

// Start runs the lab-probe binary through command, which prepares a process in the client's network
// namespace, and returns once it probes. live, when not nil, is called for every event in order.
func Start(ctx context.Context, command func(ctx context.Context, name string, args ...string) *exec.Cmd,
	binary string, p Prober, live func(Event)) (*Client, error) {
	c := &Client{ended: make(chan struct{}), changed: make(chan struct{})}
	c.cmd = command(ctx, binary, p.flags()...)
	c.cmd.Stderr = &c.stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start prober: %w", err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start prober: %w", err)
	}
	c.stdin = stdin
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start prober: %w", err)
	}
	go c.read(stdout, live)
	if err := c.wait(ctx, func() bool { return c.started }); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start prober: %w", err), c.kill())
	}
	return c, nil
}

// flags are lab-probe's arguments for p.
func (p Prober) flags() []string {
	args := []string{"-target", p.Target.String()}
	if p.Interval != 0 {
		args = append(args, "-interval", p.Interval.String())
	}
	if p.Limit != 0 {
		args = append(args, "-limit", p.Limit.String())
	}
	return append(args, fmt.Sprintf("-name=%t", p.Name), fmt.Sprintf("-hold=%t", p.Hold))
}

// read takes the prober's events until its output ends.
func (c *Client) read(stdout io.Reader, live func(Event)) {
	defer close(c.ended)
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // end of output, on which Wait gives the reason
		}
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			event = Event{Kind: "unreadable", Cause: string(line)}
		}
		c.note(event)
		if live != nil {
			live(event)
		}
	}
	err := c.cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.fault = fmt.Errorf("prober ended: %w: %s", err, strings.TrimSpace(c.stderr.String()))
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) note(event Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch event.Kind {
	case EventStarted:
		c.started = true
	case EventUp, EventBack, EventServer:
		c.good, c.last, c.server = true, event.At, event.Server
	case EventLost:
		c.good, c.last = false, event.At
	case EventReport:
		c.report = event.Report
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait returns when ok, which is called with the lock held, says so.
func (c *Client) wait(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		done, changed, fault := ok(), c.changed, c.fault
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-c.ended:
			return errors.Join(errors.New("the prober has ended"), fault)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WaitGood returns when the target answers.
func (c *Client) WaitGood(ctx context.Context) error {
	if err := c.wait(ctx, func() bool { return c.good }); err != nil {
		return fmt.Errorf("cannot wait for the target to answer: %w", err)
	}
	return nil
}

// WaitBack returns when the target answers again after a gap or a change of server at or after t.
func (c *Client) WaitBack(ctx context.Context, t time.Time) error {
	if err := c.wait(ctx, func() bool { return c.good && !c.last.Before(t) }); err != nil {
		return fmt.Errorf("cannot wait for the target to answer again: %w", err)
	}
	return nil
}

// Server is the name of who answered last, of attempts before which none is still waiting, for
// seconds where the prober is patient; the Server of the report knows all.
func (c *Client) Server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// Stop ends the prober and returns its report.
func (c *Client) Stop() (Report, error) {
	_ = c.stdin.Close() // the end of its input is what stops it; a second Close does no harm
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil {
		return Report{}, c.fault
	}
	if c.report == nil {
		return Report{}, errors.New("cannot read the prober's report: it sent none")
	}
	return *c.report, nil
}

func (c *Client) kill() error {
	_ = c.cmd.Process.Kill() // it may have ended already
	<-c.ended
	return c.fault
}
