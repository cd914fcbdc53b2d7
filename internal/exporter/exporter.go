// Package exporter serves one text over HTTP on the loopback device, for Prometheus:
// GET /metrics and nothing else. Who is slow is cut off, and nobody can make it hold more
// than a few small requests.
//
// It is no http.Server: that would add a seventh to the binary, and a third to what the
// packages of the binary do at the start of every hook (docs/reference/metrics.md).
package exporter

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostRequests are served at a time; others wait in the kernel's queue.
	mostRequests = 4
	// mostRetry is the longest pause between two tries.
	mostRetry = 30 * time.Second
)

// limits are the times that count.
type limits struct {
	// request is how long a client may take to ask, answer to ask and to read.
	request, answer time.Duration
	// retry parts the first two tries to get the port, and to accept when descriptors are
	// scarce; each pause is twice the one before, up to mostRetry.
	retry time.Duration
}

// Address is where a port is served.
func Address(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// Taken tells that somebody has a port of the loopback device, or that it cannot be had for
// another reason.
func Taken(port int) bool {
	l, err := listen(port)
	if err == nil {
		l.Close()
	}
	return err != nil
}

func listen(port int) (net.Listener, error) {
	// Not [::1] as well: what asks there for localhost asks here next.
	return net.Listen("tcp4", Address(port).String())
}

// Exporter serves the text.
type Exporter struct {
	port int
	text func(context.Context) ([]byte, error)
	log  *log.Logger
	limits

	first net.Listener // nil: none yet
	// places are as many as requests are served.
	places  chan struct{}
	serving atomic.Bool
	// one text is made at a time.
	making sync.Mutex
}

// New gets the port, which may take privileges that the process gives up later; where that
// fails Run tries again. text is what a client is given.
func New(port int, text func(context.Context) ([]byte, error), log *log.Logger) *Exporter {
	e := &Exporter{port: port, text: text, log: log, places: make(chan struct{}, mostRequests), limits: limits{2 * time.Second, 5 * time.Second, time.Second}}
	var err error
	if e.first, err = listen(port); err != nil {
		log.Printf("cannot serve metrics, trying again: %v", err)
	}
	e.serving.Store(err == nil)
	return e
}

// Serving is the port that is served; 0 while that cannot be had, and of a nil Exporter.
func (e *Exporter) Serving() int {
	if e == nil || !e.serving.Load() {
		return 0
	}
	return e.port
}

// Run serves until ctx is done.
func (e *Exporter) Run(ctx context.Context) {
	l, pause := e.first, e.retry
	for {
		if l != nil {
			e.serve(ctx, l)
			pause = e.retry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, mostRetry)
		var err error
		if l, err = listen(e.port); err != nil {
			l = nil
			continue
		}
		e.serving.Store(true)
	}
}

// serve accepts until ctx is done or the listener is of no use any more.
func (e *Exporter) serve(ctx context.Context, l net.Listener) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		l.Close()
	})
	defer func() {
		if stop() {
			l.Close()
		} else {
			<-closed // Accept may return before the port is free
		}
		e.serving.Store(false)
	}()
	for {
		select {
		case e.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c, err := l.Accept()
		if err != nil {
			<-e.places
			if ctx.Err() == nil {
				e.log.Printf("cannot serve metrics, trying again: %v", err)
			}
			return
		}
		go func() {
			defer func() { <-e.places }()
			defer c.Close()
			e.handle(ctx, c)
		}()
	}
}

// handle answers one request; a connection is for one.
func (e *Exporter) handle(ctx context.Context, c net.Conn) {
	now := time.Now()
	if c.SetReadDeadline(now.Add(e.request)) != nil || c.SetWriteDeadline(now.Add(e.answer)) != nil {
		return
	}
	ask, err := readRequest(c)
	if err != nil {
		return // it went, or was too slow
	}
	text, status := []byte(nil), ask.status()
	if status == ok {
		limited, cancel := context.WithTimeout(ctx, e.answer)
		text, err = e.make(limited)
		cancel()
		if err != nil {
			text, status = []byte(fmt.Sprintf("cannot tell the metrics: %v\n", err)), failed
		}
	}
	if _, err := c.Write(respond(ask, status, text, now)); err != nil {
		return
	}
	linger(c)
}

func (e *Exporter) make(ctx context.Context) ([]byte, error) {
	e.making.Lock()
	defer e.making.Unlock()
	return e.text(ctx)
}

// linger waits until the client has read: to close with something unread would reset the
// connection, and lose what is on the way.
func linger(c net.Conn) {
	if t, is := c.(*net.TCPConn); is && t.CloseWrite() == nil {
		var rest [512]byte
		for n := 0; n < maxRequest; n += len(rest) {
			if _, err := c.Read(rest[:]); err != nil {
				return
			}
		}
	}
}
