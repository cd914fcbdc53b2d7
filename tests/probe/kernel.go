package probe

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A kernel tells which addresses one machine has, and of every change.
type kernel interface {
	// subscribe returns the changes from now on. They end when done is closed, and when the kernel
	// had to drop some.
	subscribe(done <-chan struct{}, fault func(error)) (<-chan netlink.AddrUpdate, error)
	list() ([]netlink.Addr, error)
	close() error
}

// receiveBuffer holds, in bytes, the messages about thousands of addresses that change at once.
const receiveBuffer = 16 << 20

// namespace is the kernel of a machine as its network namespace has it.
type namespace struct{ ns netns.NsHandle }

func openNamespace(path string) (*namespace, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, err
	}
	return &namespace{ns}, nil
}

func (n *namespace) subscribe(done <-chan struct{}, fault func(error)) (<-chan netlink.AddrUpdate, error) {
	updates := make(chan netlink.AddrUpdate, 64)
	return updates, netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{
		Namespace: &n.ns,
		ErrorCallback: func(err error) {
			// That one ends the updates, which says it as well.
			if !strings.HasPrefix(err.Error(), "Receive failed") {
				fault(err)
			}
		},
		ReceiveBufferSize: receiveBuffer, ReceiveBufferForceSize: true,
	})
}

func (n *namespace) list() ([]netlink.Addr, error) {
	h, err := netlink.NewHandleAt(n.ns, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("cannot list addresses: %w", err)
	}
	defer h.Close()
	for {
		all, err := h.AddrList(nil, netlink.FAMILY_ALL)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue // they changed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list addresses: %w", err)
		}
		return all, nil
	}
}

func (n *namespace) close() error { return n.ns.Close() }
