package checker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

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
	return slices.Contains(indexes, linkIndex(i.Interface))
}

// linkIndex is the index of an interface, 0 for one that does not exist (netdevice(7)): netlink
// would tell much more.
func linkIndex(name string) int {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request) != nil {
		return 0
	}
	return int(request.Uint32())
}

// has tells whether the address is one of this machine's.
func (k kernelAddresses) has(a netip.Addr) bool {
	return a.IsLoopback() || len(k[a]) > 0
}
