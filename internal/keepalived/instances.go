package keepalived

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/vrrp"
)

// Instance is a VRRP instance of some configuration, and what it takes for itself on this
// machine: one interface and family has room for one user of each ID. A static_ipaddress block
// counts as one without an ID: keepalived puts its addresses on the machine for good.
type Instance struct {
	// File is the one of a loaded text in which it begins, Name the instance's.
	File, Name      string
	Interface       string
	VirtualRouterID vrrp.VirtualRouterID
	// Six tells an instance that talks VRRP over IPv6.
	Six bool
	// Addresses are its virtual addresses, Advertised those of them that its
	// advertisements carry.
	Addresses, Advertised []netip.Addr
}

// Instances reads the instances of a configuration, ours or anybody's. It
// never fails: what it cannot read takes nothing.
func Instances(text string) []Instance {
	var found []Instance
	last := 0 // the block that the last one is
	walk(text, func(at place, words []string) {
		kind := at.block(0)
		if kind != "vrrp_instance" && kind != "static_ipaddress" {
			return
		}
		if at.top != last {
			found, last = append(found, Instance{File: at.from, Name: strings.Join(at.blocks[0][1:], " ")}), at.top
		}
		found[len(found)-1].take(at, words)
	})
	return found
}

// take takes in a line of the instance's block.
func (i *Instance) take(at place, words []string) {
	value := ""
	if len(words) > 1 {
		value = words[1]
	}
	block := at.block(len(at.blocks) - 1)
	switch depth := len(at.blocks); {
	case depth == 1 && words[0] == "interface":
		i.Interface = value
	case depth == 1 && words[0] == "native_ipv6":
		i.Six = true
	case depth == 1 && words[0] == "virtual_router_id":
		if id, err := strconv.Atoi(value); err == nil {
			i.VirtualRouterID, _ = vrrp.NewVirtualRouterID(id)
		}
	case depth == 1 && block == "static_ipaddress", depth == 2 && strings.HasPrefix(block, "virtual_ipaddress"):
		w, _, _ := strings.Cut(words[0], "/")
		if a, err := netip.ParseAddr(w); err == nil {
			// The first advertised address tells the family (keepalived.conf(5)).
			i.Six = i.Six || len(i.Addresses) == 0 && a.Is6() && block == "virtual_ipaddress"
			i.Addresses = append(i.Addresses, a)
			if block == "virtual_ipaddress" {
				i.Advertised = append(i.Advertised, a)
			}
		}
	}
}

// VirtualAddresses lists the virtual addresses of all instances of a
// configuration.
func VirtualAddresses(text string) []netip.Addr {
	var list []netip.Addr
	for _, c := range Instances(text) {
		list = append(list, c.Addresses...)
	}
	return list
}

// Places returns how a fragment of the charm puts virtual addresses on interfaces.
func Places(fragment string) map[netip.Addr]VirtualAddress {
	places := map[netip.Addr]VirtualAddress{}
	for line := range strings.Lines(fragment) {
		words := strings.Fields(line)
		if len(words) != 3 || words[1] != "dev" {
			continue
		}
		if p, err := netip.ParsePrefix(words[0]); err == nil {
			places[p.Addr()] = VirtualAddress{p, words[2]}
		}
	}
	return places
}

// Password returns the auth_pass of an instance; empty when it has none.
func Password(fragment, instance string) string {
	password := ""
	walk(fragment, func(at place, words []string) {
		if at.block(0) == "vrrp_instance" && slices.Contains(at.blocks[0][1:], instance) && words[0] == "auth_pass" && len(words) > 1 {
			password = words[1]
		}
	})
	return password
}

// Peers lists the addresses that a fragment of the charm sends unicast
// advertisements to.
func Peers(fragment string) []netip.Addr {
	var list []netip.Addr
	walk(fragment, func(at place, words []string) {
		if at.block(1) == "unicast_peer" {
			if a, err := netip.ParseAddr(words[0]); err == nil {
				list = append(list, a)
			}
		}
	})
	return list
}
