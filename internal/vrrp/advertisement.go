package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Advertisement is what a VRRP packet says (RFC 3768 section 5.1, RFC 9568
// section 5.1).
type Advertisement struct {
	Version         int // 2 or 3
	VirtualRouterID VirtualRouterID
	// Priority is 0 in the last advertisement of a holder that releases.
	Priority Priority
	Interval time.Duration
	// Addresses are what it advertises.
	Addresses []netip.Addr
}

// header is the length of a packet without its addresses; a packet of either
// version and family has the same fields in the same places.
const header = 8

// HopLimit is the TTL and the hop limit with which advertisements are sent; with less a router
// has passed them on, and a multicast group takes none (RFC 9568 sections 5.1.1.3, 5.1.2.3).
const HopLimit = 255

// Intact tells whether the checksum of a payload of IP protocol 112 is right for where it came
// from and went to: over the payload in version 2 (RFC 3768 section 5.3.8), and over addresses
// and length too in version 3 (RFC 9568 section 5.2.8), which keepalived takes without those
// over IPv4 too, as its releases before 1.3.6 sent it (keepalived.conf(5), vrrp_version).
func Intact(payload []byte, from, to netip.Addr) bool {
	sum := func(words uint64, b []byte) uint64 {
		for ; len(b) > 1; b = b[2:] {
			words += uint64(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			words += uint64(b[0]) << 8
		}
		return words
	}
	right := func(words uint64) bool {
		for words > 0xffff {
			words = words>>16 + words&0xffff
		}
		return words == 0xffff
	}
	if len(payload) < header {
		return false
	}
	plain, six := sum(0, payload), from.Is6() && !from.Is4In6()
	if !six && right(plain) {
		return true
	}
	return payload[0]>>4 == 3 && right(sum(sum(plain+Protocol+uint64(len(payload)), from.AsSlice()), to.AsSlice()))
}

// Protocol is VRRP's, by IANA's list of IP protocol numbers.
const Protocol = 112

// ParseAdvertisement reads the payload of a packet of IP protocol 112; six tells
// that it travelled over IPv6. A password of version 2 follows the addresses and
// is left out. Neither checksum nor hop limit are looked at: an ill-made packet
// tells of its sender too.
func ParseAdvertisement(payload []byte, six bool) (Advertisement, error) {
	if len(payload) < header {
		return Advertisement{}, fmt.Errorf("cannot read advertisement: %d bytes are too few", len(payload))
	}
	const advertisement = 1
	version, kind := int(payload[0]>>4), payload[0]&0xf
	if kind != advertisement || version != 2 && version != 3 || version == 2 && six {
		return Advertisement{}, fmt.Errorf("cannot read advertisement: version %d, type %d", version, kind)
	}
	a := Advertisement{Version: version, Priority: Priority(payload[2])}
	var err error
	if a.VirtualRouterID, err = NewVirtualRouterID(int(payload[1])); err != nil {
		return Advertisement{}, fmt.Errorf("cannot read advertisement: %w", err)
	}
	if version == 2 {
		a.Interval = time.Duration(payload[5]) * time.Second
	} else {
		// Four reserved bits, then centiseconds.
		a.Interval = time.Duration(binary.BigEndian.Uint16(payload[4:])&0xfff) * 10 * time.Millisecond
	}
	size := 4
	if six {
		size = 16
	}
	count, rest := int(payload[3]), payload[header:]
	if len(rest) < count*size {
		return Advertisement{}, errors.New("cannot read advertisement: it ends amid its addresses")
	}
	for n := range count {
		address, _ := netip.AddrFromSlice(rest[n*size : (n+1)*size])
		a.Addresses = append(a.Addresses, address)
	}
	return a, nil
}
