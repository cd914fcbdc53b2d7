package config

import (
	"fmt"
	"net/netip"
	"strings"

	"keepalived-charm/internal/plain"
	"keepalived-charm/internal/vrrp"
)

// maxVirtualIPs is how many virtual IPs were measured to move in time.
const maxVirtualIPs = 500

// setVirtualIPs takes addresses separated by commas or white space.
func (o *Options) setVirtualIPs(s string) string {
	fields := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	if len(fields) == 0 && s != "" {
		return "a list of addresses, or empty to serve none" // nobody means to end all by a comma
	}
	if len(fields) > maxVirtualIPs {
		return fmt.Sprintf("a list of at most %d addresses", maxVirtualIPs)
	}
	seen := map[netip.Addr]bool{}
	for _, f := range fields {
		v, must := parseVirtualIP(f)
		if must != "" {
			return must
		}
		if seen[v.Addr()] {
			return "without duplicates, " + v.Addr().String() + " stands there twice"
		}
		seen[v.Addr()] = true
		o.VirtualIPs = append(o.VirtualIPs, v)
	}
	return ""
}

// parseVirtualIP takes ADDRESS%INTERFACE/LENGTH, in which the last two may be left out (the
// notation of RFC 4007 section 11.7, for both families).
func parseVirtualIP(s string) (VirtualIP, string) {
	address, length, given := strings.Cut(s, "/")
	address, name, named := strings.Cut(address, "%")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4In6() || named && !Interface(name) {
		return VirtualIP{}, "an IP address such as 10.10.74.250 or 10.10.74.250/24"
	}
	p := netip.PrefixFrom(a, a.BitLen())
	if given {
		p, err = netip.ParsePrefix(address + "/" + length)
		if err != nil || p.Bits() == 0 || strings.HasPrefix(length, "+") {
			return VirtualIP{}, fmt.Sprintf("an address with a prefix length in 1-%d", a.BitLen())
		}
	}
	if why := unusable(p); why != "" {
		return VirtualIP{}, "an address that one machine can hold, " + a.String() + " is " + why
	}
	return VirtualIP{Prefix: p, Sized: given, Interface: name, Written: address}, ""
}

// unusable tells why no machine can hold an address for clients.
func unusable(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case a.IsUnspecified():
		return "the unspecified address"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsMulticast():
		return "a multicast address"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case !a.Is4():
		return ""
	}
	b := a.As4()
	switch {
	case b[0] == 0:
		return "an address of this network (0.0.0.0/8)"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address"
	case b[0] >= 240:
		return "a reserved address"
	}
	return NoHost(p)
}

// NoHost tells why no host of a subnet has an address, given with the subnet's prefix
// length: of all but the smallest IPv4 subnets the first and the last address are none.
func NoHost(p netip.Prefix) string {
	switch {
	case !p.Addr().Is4() || p.Bits() >= 31:
		return ""
	case p.Addr() == p.Masked().Addr():
		return "the network address of " + p.String()
	case p.Addr() == broadcast(p):
		return "the broadcast address of " + p.Masked().String()
	}
	return ""
}

// broadcast returns the last address of an IPv4 prefix.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}

func (o *Options) setHostname(s string) string {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		o.Hostname = s
		return ""
	}
	if s != "" && !plain.Hostname(s) {
		return "a host name such as api.example.com, or empty"
	}
	o.Hostname = s
	return ""
}

// Interface tells whether a network interface of that name can carry virtual IPs.
func Interface(name string) bool { return vrrp.IsInterface(name) }

func (o *Options) setInterface(s string) string {
	s = strings.TrimSpace(s)
	if s != "" && !Interface(s) {
		return "the name of a network interface such as eth0, or empty"
	}
	o.Interface = s
	return ""
}
