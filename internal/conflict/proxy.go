package conflict

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Some routers, switches and clouds answer for every address (proxy ARP, RFC 1027, and
// its like in neighbour discovery). What such a proxy answers says nothing about who has
// a virtual IP. Controls tell it: addresses that nobody is known to have.

// controls is how many are asked for, proxyControls how many of them a host answers for
// that is a proxy. One of them may be somebody's, and an answer may get lost.
const (
	controls      = 3
	proxyControls = 2
)

// Proxy is a host that answers for every address of a family on an interface.
type Proxy struct {
	Interface string
	Host      Host
	Six       bool
}

// Controls picks addresses of a subnet at random, none of those that are in use; none at
// all where it has too few. random returns bits, each time others.
func Controls(subnet netip.Prefix, used []netip.Addr, random func() uint64) []netip.Addr {
	var list []netip.Addr
	const tries = 20 * controls // a small subnet is full of addresses in use
	for range tries {
		a := within(subnet, random())
		first, last := a == subnet.Masked().Addr(), a == within(subnet, ^uint64(0))
		if !first && !last && !slices.Contains(used, a) && !slices.Contains(list, a) {
			list = append(list, a)
		}
		if len(list) == controls {
			return list
		}
	}
	return nil
}

// within is the address of a subnet with those bits for its host.
func within(subnet netip.Prefix, host uint64) netip.Addr {
	bytes := subnet.Masked().Addr().AsSlice()
	free := uint(subnet.Addr().BitLen() - subnet.Bits())
	if free < 64 {
		host &= 1<<free - 1
	}
	low := bytes[max(0, len(bytes)-8):]
	word := make([]byte, 8)
	copy(word[8-len(low):], low)
	binary.BigEndian.PutUint64(word, binary.BigEndian.Uint64(word)|host)
	copy(low, word[8-len(low):])
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

// Sift takes the answers for controls from a look, and those of proxies, which it names.
func (l Look) Sift(asked []netip.Addr) Look {
	type who struct {
		iface, mac string
		six        bool
	}
	by := func(a Answer) who { return who{a.Interface, a.By.MAC, a.Address.Is6()} }
	answered := map[who]int{}
	for _, a := range l.Answers {
		if !slices.Contains(asked, a.Address) {
			continue
		}
		if answered[by(a)]++; answered[by(a)] == proxyControls {
			l.Proxies = append(l.Proxies, Proxy{a.Interface, a.By, a.Address.Is6()})
		}
	}
	l.Answers = slices.DeleteFunc(slices.Clone(l.Answers), func(a Answer) bool {
		return slices.Contains(asked, a.Address) || answered[by(a)] >= proxyControls
	})
	return l
}

// Proxied tells of a host that answered for so many of the controls.
func Proxied(answers int) bool { return answers >= proxyControls }
