package keepalived

import (
	"net/netip"
	"strconv"
	"strings"

	"keepalived-charm/internal/vrrp"
)

// Instance is a VRRP instance of some configuration, and what it takes for itself on this
// machine: one interface and family has room for one user of each ID.
type Instance struct {
	// Name is the instance's.
	Name            string
	Interface       string
	VirtualRouterID vrrp.VirtualRouterID
	// Six tells an instance that talks VRRP over IPv6.
	Six bool
	// Addresses are its virtual addresses, Advertised those of them that its
	// advertisements carry.
	Addresses, Advertised []netip.Addr
}

// Instances reads the vrrp_instance blocks of a configuration, ours or anybody's. It
// never fails: what it cannot read takes nothing.
func Instances(text string) []Instance {
	var found []Instance
	depth, block, within := 0, "", false // a vrrp_instance
	words := tokens(text)
	for n, w := range words {
		next := ""
		if n+1 < len(words) {
			next = words[n+1]
		}
		if next == "{" && depth == 1 {
			block = w
		}
		switch {
		case w == "{":
			depth++
			continue
		case w == "}":
			depth = max(0, depth-1)
			within = within && depth > 0
			continue
		case w == "vrrp_instance" && depth == 0:
			found, within = append(found, Instance{Name: next}), true
		}
		if !within || depth == 0 {
			continue
		}
		c := &found[len(found)-1]
		switch {
		case depth == 1 && w == "interface":
			c.Interface = next
		case depth == 1 && w == "native_ipv6":
			c.Six = true
		case depth == 1 && w == "virtual_router_id":
			if id, err := strconv.Atoi(next); err == nil {
				c.VirtualRouterID, _ = vrrp.NewVirtualRouterID(id)
			}
		case depth == 2 && strings.HasPrefix(block, "virtual_ipaddress"):
			w, _, _ = strings.Cut(w, "/")
			if a, err := netip.ParseAddr(w); err == nil {
				// The first advertised address tells the family (keepalived.conf(5)).
				c.Six = c.Six || len(c.Addresses) == 0 && a.Is6() && block == "virtual_ipaddress"
				c.Addresses = append(c.Addresses, a)
				if block == "virtual_ipaddress" {
					c.Advertised = append(c.Advertised, a)
				}
			}
		}
	}
	return found
}

var braces = strings.NewReplacer("{", " { ", "}", " } ")

// tokens splits a configuration into words and braces, without comments.
func tokens(text string) []string {
	var words []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, "!")
		words = append(words, strings.Fields(braces.Replace(line))...)
	}
	return words
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
	words, name := tokens(fragment), ""
	for n, w := range words[:max(0, len(words)-1)] {
		switch next := words[n+1]; {
		case w == "vrrp_instance":
			name = next
		case w == "auth_pass" && name == instance && next != "}":
			return next
		}
	}
	return ""
}

// Peers lists the addresses that a fragment of the charm sends unicast
// advertisements to.
func Peers(fragment string) []netip.Addr {
	var list []netip.Addr
	words := tokens(fragment)
	for n, w := range words {
		if w != "unicast_peer" {
			continue
		}
		for _, w := range words[min(n+2, len(words)):] {
			a, err := netip.ParseAddr(w)
			if err != nil {
				break
			}
			list = append(list, a)
		}
	}
	return list
}
