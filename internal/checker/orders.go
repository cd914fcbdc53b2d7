package checker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// HandOver is the order to hand over what this unit holds, once. It is an operator's word:
// damping does not count.
const HandOver = "hand over"

const (
	// orderPatience bounds how long either side waits for the other.
	orderPatience = 5 * time.Second
	// done is the answer to an order that was carried out.
	done = "done"
	// mostOrder bounds what is read.
	mostOrder = 256
)

// order is an order on its way to the loop, which closes taken.
type order struct{ taken chan struct{} }

// orders takes orders at a Unix socket, one line each, of root alone.
type orders struct {
	listener *net.UnixListener
	given    chan order
}

// openOrders begins to listen at path, as root, in a directory that only root may enter; nil
// where that fails: the checker goes on without.
func openOrders(path string, log *log.Logger) *orders {
	if err := unix.Unlink(path); err != nil && !errors.Is(err, unix.ENOENT) {
		log.Printf("cannot take orders: %s is in the way: %v", path, err)
		return nil
	}
	short, release, err := within(path)
	if err != nil {
		log.Printf("cannot take orders: %v", err)
		return nil
	}
	defer release()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		log.Printf("cannot take orders: %v", err)
		return nil
	}
	listener.SetUnlinkOnClose(false) // by a name that is no more
	o := &orders{listener: listener, given: make(chan order)}
	go o.serve()
	return o
}

// within names a socket by its directory's descriptor: longer names than 107 bytes do not go
// into an address (unix(7)).
func within(path string) (short string, release func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}

func (o *orders) serve() {
	for {
		conn, err := o.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(orderPatience) // short of descriptors or memory
			continue
		}
		o.take(conn)
	}
}

// take reads one order and answers it.
func (o *orders) take(conn *net.UnixConn) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(orderPatience)); err != nil {
		return
	}
	answer := done
	if err := o.pass(conn); err != nil {
		answer = err.Error()
	}
	_, _ = fmt.Fprintln(conn, answer) // whoever asked may have gone
}

// pass hands an order of root's to the loop, and waits until that has taken it.
func (o *orders) pass(conn *net.UnixConn) error {
	// Who is closed upon before that reads no answer (unix(7)).
	text, err := bufio.NewReader(io.LimitReader(conn, mostOrder)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("cannot read the order: %w", err)
	}
	if root, err := fromRoot(conn); err != nil || !root {
		return errors.Join(errors.New("only root may give orders"), err)
	}
	if text != HandOver+"\n" {
		return fmt.Errorf("there is no order %q", strings.TrimSpace(text))
	}
	limit := time.After(orderPatience / 2)
	given := order{make(chan struct{})}
	select {
	case o.given <- given:
	case <-limit:
		return errors.New("the health checker is busy")
	}
	<-given.taken
	return nil
}

// fromRoot tells who connected, by the kernel's word (SO_PEERCRED, unix(7)).
func fromRoot(conn *net.UnixConn) (bool, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false, err
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, failed); err != nil {
		return false, err
	}
	return peer.Uid == 0, nil
}

// waiting are the orders that are given; nobody gives any where none are taken.
func (o *orders) waiting() <-chan order {
	if o == nil {
		return nil
	}
	return o.given
}

func (o *orders) close() {
	if o != nil {
		o.listener.Close()
	}
}

// Ask gives the checker that listens at path an order, as root, and waits until it has been
// carried out.
func Ask(path, text string) error {
	short, release, err := within(path)
	if err != nil {
		return fmt.Errorf("cannot ask the health checker: %w", err)
	}
	defer release()
	conn, err := net.DialTimeout("unix", short, orderPatience)
	if err != nil {
		if cause := (*os.SyscallError)(nil); errors.As(err, &cause) {
			err = cause.Err // the name in it says nothing
		}
		return fmt.Errorf("cannot ask the health checker at %s: %w", path, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(orderPatience)); err != nil {
		return fmt.Errorf("cannot ask the health checker: %w", err)
	}
	if _, err := fmt.Fprintln(conn, text); err != nil {
		return fmt.Errorf("cannot ask the health checker: %w", err)
	}
	answer, err := bufio.NewReader(io.LimitReader(conn, mostOrder)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("cannot read what the health checker answers: %w", err)
	}
	if answer = strings.TrimSpace(answer); answer != done {
		return fmt.Errorf("the health checker refuses to %s: %s", text, answer)
	}
	return nil
}
