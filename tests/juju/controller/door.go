package controller

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// door listens at a unix socket, and can be shut: then the connections that came through it
// are cut, and the socket is not there.
type door struct {
	path     string
	incoming chan net.Conn
	closed   chan struct{}

	mu      sync.Mutex
	current net.Listener // nil while it is shut
	open    map[net.Conn]bool
	running sync.WaitGroup
}

func newDoor(path string) (*door, error) {
	d := &door{path: path, incoming: make(chan net.Conn), closed: make(chan struct{}), open: map[net.Conn]bool{}}
	return d, d.restore()
}

// restore opens a door that is shut.
func (d *door) restore() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		return nil
	}
	l, err := net.Listen("unix", d.path)
	if err == nil {
		err = os.Chmod(d.path, 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot listen for machines: %w", err)
	}
	d.current = l
	d.running.Go(func() { d.accept(l) })
	return nil
}

func (d *door) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		if d.current != l {
			d.mu.Unlock()
			conn.Close()
			return
		}
		c := &doorConn{conn, d}
		d.open[c] = true
		d.mu.Unlock()
		select {
		case d.incoming <- c:
		case <-d.closed:
			c.Close()
		}
	}
}

// cut shuts the door.
func (d *door) cut() error {
	d.mu.Lock()
	if d.current == nil {
		d.mu.Unlock()
		return nil
	}
	err := d.current.Close()
	d.current = nil
	open := d.open
	d.open = map[net.Conn]bool{}
	d.mu.Unlock()
	for c := range open {
		err = errors.Join(err, ignoreClosed(c.Close()))
	}
	return err
}

// Accept is part of net.Listener; it waits while the door is shut.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.incoming:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close is part of net.Listener. It is called once, and cuts nothing that it did not accept.
func (d *door) Close() error {
	close(d.closed)
	err := d.cut()
	d.running.Wait()
	return err
}

// Addr is part of net.Listener.
func (d *door) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: d.path} }

// doorConn is a connection that the door knows of.
type doorConn struct {
	net.Conn
	door *door
}

// RemoteAddr is what the API server takes apart into host and port, of which those who
// connect to a unix socket have none.
func (c *doorConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (c *doorConn) Close() error {
	c.door.mu.Lock()
	delete(c.door.open, c)
	c.door.mu.Unlock()
	return c.Conn.Close()
}
