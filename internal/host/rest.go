package host

import (
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// restPace parts two looks at the kernel's addresses, restLimit bounds a rest.
	restPace  = 20 * time.Millisecond
	restLimit = 200 * time.Millisecond
)

// Rest waits between two questions to the daemon, each of which is a line in its
// journal: for a moment, or until addresses come or go, as they do when it becomes
// MASTER or ceases to be.
func (h *Host) Rest() {
	before := onInterfaces()
	for begun := time.Now(); time.Since(begun) < restLimit; {
		time.Sleep(restPace)
		if !slices.Equal(onInterfaces(), before) {
			return
		}
	}
}

// onInterfaces lists the kernel's addresses; an incomplete list is another one.
func onInterfaces() []string {
	all, _ := netlink.AddrList(nil, netlink.FAMILY_ALL)
	var list []string
	for _, a := range all {
		list = append(list, a.String())
	}
	return list
}

// Now is the time.
func (h *Host) Now() time.Time { return time.Now() }
