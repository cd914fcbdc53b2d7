package checker

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/healthcheck"
)

// addressWatch tells of changes to the kernel's addresses as they happen.
// Subscribing takes no privilege.
type addressWatch struct {
	// updates is closed when the kernel dropped events; subscribe again and read
	// the addresses.
	updates chan netlink.AddrUpdate
	done    chan struct{}
}

// watchAddresses subscribes to the changes of this network namespace.
func watchAddresses() (*addressWatch, error) {
	w := &addressWatch{updates: make(chan netlink.AddrUpdate, 16), done: make(chan struct{})}
	if err := netlink.AddrSubscribe(w.updates, w.done); err != nil {
		return nil, fmt.Errorf("cannot watch the kernel's addresses: %w", err)
	}
	return w, nil
}

func (w *addressWatch) close() { close(w.done) }

// kernelAddresses is what is configured now: for each address the indexes of its
// interfaces.
type kernelAddresses map[netip.Addr][]int

// readAddresses asks the kernel for all addresses of both families.
func readAddresses() (kernelAddresses, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("cannot read the kernel's addresses: %w", err)
	}
	all := make(kernelAddresses, len(list))
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			ip = ip.Unmap()
			all[ip] = append(all[ip], a.LinkIndex)
		}
	}
	// An interrupted dump may lack an address that is there; the event of what
	// interrupted it makes us read again.
	if err != nil {
		return nil, fmt.Errorf("cannot read the kernel's addresses in one piece: %w", err)
	}
	return all, nil
}

// holds tells whether the instance's first address is on its interface. An
// interface that does not exist holds nothing.
func (k kernelAddresses) holds(i healthcheck.Instance) bool {
	indexes := k[i.Addresses[0]]
	if len(indexes) == 0 {
		return false
	}
	link, err := netlink.LinkByName(i.Interface)
	if err != nil {
		return false
	}
	for _, index := range indexes {
		if index == link.Attrs().Index {
			return true
		}
	}
	return false
}

// has tells whether the address is one of this machine's.
func (k kernelAddresses) has(a netip.Addr) bool {
	return a.IsLoopback() || len(k[a]) > 0
}
