package main

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// forward accepts connections to the controller's addresses, which must be this machine's
// own, and passes what they carry to a unix socket. stop ends that, and what has begun.
func forward(addresses []string, socket string) (stop func(), err error) {
	f := &forwarder{socket: socket, open: map[net.Conn]bool{}}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			f.stop()
			return nil, fmt.Errorf("cannot stand for the controller: %w", err)
		}
		f.listeners = append(f.listeners, l)
		f.running.Go(func() { f.accept(l) })
	}
	return f.stop, nil
}

type forwarder struct {
	socket    string
	listeners []net.Listener
	running   sync.WaitGroup

	mu      sync.Mutex
	open    map[net.Conn]bool
	stopped bool
}

func (f *forwarder) accept(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		f.running.Go(func() { f.relay(near) })
	}
}

// relay ends with either connection; where nobody listens at the socket it ends at once.
func (f *forwarder) relay(near net.Conn) {
	defer f.close(near)
	far, err := net.Dial("unix", f.socket)
	if err != nil {
		return
	}
	defer f.close(far)
	if !f.keep(near) || !f.keep(far) {
		return
	}
	f.running.Go(func() {
		_, _ = io.Copy(far, near) // both ends see what is wrong
		far.Close()
		near.Close()
	})
	_, _ = io.Copy(near, far)
}

// keep has stop close a connection; false when that has been.
func (f *forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = true
	return !f.stopped
}

func (f *forwarder) close(c net.Conn) {
	c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}

func (f *forwarder) stop() {
	for _, l := range f.listeners {
		l.Close()
	}
	f.mu.Lock()
	f.stopped = true
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}
