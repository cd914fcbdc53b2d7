package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Defaults of a Prober.
const (
	DefaultInterval = 10 * time.Millisecond
	DefaultLimit    = 100 * time.Millisecond
)

// A Prober opens a new TCP connection to Target every Interval, whether or not earlier ones have
// been answered, and gives each Limit to succeed.
type Prober struct {
	// Target is what is probed.
	Target netip.AddrPort
	// Interval is the time between starts, Limit that for connecting and, with Name, the answer.
	// Where Limit is above DefaultLimit, an answer that comes up to answerGrace later counts too
	// when the kernel sent nothing twice: then it was not the network that took so long.
	Interval, Limit time.Duration
	// Name asks the server for its name by HTTP; an attempt without a name then counts as failed.
	Name bool
	// Hold keeps one more connection open all the time and makes a request on it ten times a second.
	Hold bool
}

// Run probes until ctx ends, calls emit for every change, one at a time, and returns the report.
func (p Prober) Run(ctx context.Context, emit func(Event)) Report {
	var lock sync.Mutex // of emit
	tell := func(e Event) {
		lock.Lock()
		defer lock.Unlock()
		emit(e)
	}
	tell(Event{Kind: EventStarted, At: time.Now()})
	var held *Held
	var holding sync.WaitGroup
	if p.Hold {
		holding.Add(1)
		go func() {
			defer holding.Done()
			held = p.hold(ctx, tell)
		}()
	}
	report := p.attempts(ctx, tell)
	holding.Wait()
	report.Target, report.Held = p.Target.String(), held
	return report
}

// answerGrace is how long a patient prober waits for a busy host's answer.
const answerGrace = 3 * time.Second

// Causes of attempts that took too long.
const (
	causeNoHandshake = "no handshake"
	causeNoAnswer    = "no answer"
	causeTimeout     = "timeout"
)

// numbered is an attempt with its place in the order of starts.
type numbered struct {
	n int
	Attempt
	// void tells an attempt that timed out while the prober was held up.
	void bool
}

// attempts starts attempts at the pace until ctx ends and adds them up as they finish.
func (p Prober) attempts(ctx context.Context, tell func(Event)) Report {
	results := make(chan numbered, 64)
	skipped := make(chan int, 1)
	var held stalls
	go held.watch(ctx)
	go func() {
		var under sync.WaitGroup
		skipped <- p.pace(ctx, func(n int, at time.Time) {
			under.Add(1)
			go func() {
				defer under.Done()
				a := p.attempt(at)
				void := false
				if a.Cause == causeNoHandshake || a.Cause == causeNoAnswer {
					time.Sleep(2 * stallTick) // a stall that has just ended is noted
					void = held.during(at, time.Now())
				}
				results <- numbered{n, a, void}
			}()
		})
		under.Wait()
		close(results)
	}()
	var tally Tally
	waiting := map[int]numbered{} // finished before an earlier one
	next, void := 0, 0
	for result := range results {
		waiting[result.n] = result
		for a, ok := waiting[next]; ok; a, ok = waiting[next] {
			delete(waiting, next)
			next++
			if a.void {
				void++
				continue
			}
			for _, event := range tally.Add(a.Attempt) {
				tell(event)
			}
		}
	}
	report := tally.Report()
	report.Skipped = void + <-skipped
	return report
}

// pace calls start every Interval. When the prober itself was held up for longer than Limit, what
// was due meanwhile is skipped and counted, not made up for in a burst.
func (p Prober) pace(ctx context.Context, start func(n int, at time.Time)) (skipped int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return skipped
		case <-timer.C:
		}
		now := time.Now()
		if late := now.Sub(due); late > p.Limit {
			missed := int(late / p.Interval)
			skipped += missed
			due = due.Add(time.Duration(missed) * p.Interval)
		}
		start(n, now)
		due = due.Add(p.Interval)
		timer.Reset(time.Until(due))
	}
}

// attempt makes one connection.
func (p Prober) attempt(at time.Time) Attempt {
	server, err := p.connect(at.Add(p.Limit))
	if err != nil {
		return Attempt{At: at, Cause: cause(err)}
	}
	return Attempt{At: at, Server: server}
}

func (p Prober) connect(deadline time.Time) (server string, err error) {
	dialer := net.Dialer{Deadline: deadline, KeepAlive: -1} // a hundred a second, each for milliseconds
	conn, err := dialer.Dial("tcp", p.Target.String())
	if err != nil {
		return "", late(err, causeNoHandshake)
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Closing by reset leaves no TIME_WAIT: a hundred of them a second would use the ports up.
		_ = tcp.SetLinger(0)
	}
	if !p.Name {
		return "", nil
	}
	end := deadline
	if p.Limit > DefaultLimit {
		end = end.Add(answerGrace)
	}
	if err := conn.SetDeadline(end); err != nil {
		return "", err
	}
	server, err = ask(conn, bufio.NewReader(conn), "HTTP/1.0")
	if err == nil && time.Now().After(deadline) && sentTwice(conn) {
		return "", errors.New(causeNoAnswer)
	}
	return server, late(err, causeNoAnswer)
}

// late names the cause of an error that is a timeout.
func late(err error, name string) error {
	if err != nil && cause(err) == causeTimeout {
		return errors.New(name)
	}
	return err
}

// sentTwice tells whether the kernel sent anything of a connection more than once, its first
// packet included (tcp(7), TCP_INFO), or does not say.
func sentTwice(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return true
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true
	}
	twice := true
	_ = raw.Control(func(fd uintptr) { // it fails where the connection is closed
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			twice = info.Total_retrans > 0
		}
	})
	return twice
}

// ask makes one HTTP request and returns the first line of the answer's body.
func ask(w io.Writer, r *bufio.Reader, version string) (string, error) {
	if _, err := io.WriteString(w, "GET / "+version+"\r\nHost: probe\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", statusError(answer.StatusCode)
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if name == "" {
		return "", errors.New("no name")
	}
	return name, nil
}

// statusError is an HTTP status other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// cause names the reason of a failure in a word or two, so that failures can be counted by it.
func cause(err error) string {
	var status statusError
	switch {
	case errors.As(err, &status):
		return status.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return causeTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return causeTimeout
	}
	return err.Error()
}
