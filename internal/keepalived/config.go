// Package keepalived is the charm's model of keepalived: the configuration it
// renders (keepalived.conf(5)) and the state that the daemon reports. It does no
// I/O.
package keepalived

import (
	"net/netip"
	"slices"
	"strconv"

	"keepalived-charm/internal/vrrp"
	"keepalived-charm/templates"
)

// Main is the file that all applications of the charm on a machine share.
type Main struct {
	// Fragments is the directory with one fragment per application.
	Fragments string
	// Foreign is the file of a configuration from before the charm; may be empty.
	// It keeps its own rules for scripts, the charm has none.
	Foreign string
}

// Render returns the text of keepalived.conf.
func (m Main) Render() (string, error) { return templates.Render("keepalived.conf", m) }

// Fragment is what one application adds.
type Fragment struct {
	Application string
	Instances   []VRRPInstance
}

// Render returns the fragment's text.
func (f Fragment) Render() (string, error) { return templates.Render("fragment.conf", f) }

// VRRPInstance is one vrrp_instance block with the track file that adjusts its
// priority. Every instance starts as BACKUP with plain pre-emption: the track
// file's value decides who holds (package vrrp).
type VRRPInstance struct {
	// Name stays the same between renders, so that keepalived sees a change of
	// an instance rather than another instance.
	Name      string
	Interface string
	vrrp.Parameters
	Priority  vrrp.Priority
	TrackFile string
	// Addresses are the virtual addresses. They move together without being
	// advertised (virtual_ipaddress_excluded), so they may differ between units
	// while hooks run. With an anchor that is no constant it is one of them.
	Addresses []VirtualAddress
	// Also are addresses that advertisements carry besides the anchor: units of the
	// Python charm advertise all their virtual IPs.
	Also []netip.Addr
	// Password authenticates advertisements of version 2 (RFC 2338 section 5.3.6);
	// empty for none. It travels in clear text: anybody on the segment can read it.
	Password string
	// Peers are where advertisements go in unicast mode, at least one: an empty
	// list would mean multicast.
	Peers []netip.Addr
}

// VirtualAddress is an address on an interface of the holder.
type VirtualAddress struct {
	netip.Prefix
	Interface string
}

// String returns the address as a line of virtual_ipaddress.
func (a VirtualAddress) String() string { return a.Prefix.String() + " dev " + a.Interface }

// Advertised returns the lines of the addresses in the advertisements, one but for
// Also.
func (i VRRPInstance) Advertised() []string {
	var lines []string
	for _, want := range append([]netip.Addr{i.Anchor}, i.Also...) {
		line := netip.PrefixFrom(want, want.BitLen()).String() + " dev lo"
		for _, a := range i.Addresses {
			if a.Addr() == want {
				line = a.String()
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Excluded returns the lines of the addresses that are not advertised.
func (i VRRPInstance) Excluded() []string {
	var lines []string
	for _, a := range i.Addresses {
		if a.Addr() != i.Anchor && !slices.Contains(i.Also, a.Addr()) {
			lines = append(lines, a.String())
		}
	}
	return lines
}

// Unicast returns the peers to name; none in multicast mode.
func (i VRRPInstance) Unicast() []netip.Addr {
	if i.Mode != vrrp.Unicast {
		return nil
	}
	return i.Peers
}

// Seconds returns the advertisement interval as advert_int takes it.
func (i VRRPInstance) Seconds() string {
	return strconv.FormatFloat(i.Parameters.Interval.Seconds(), 'f', -1, 64)
}
