package vrrp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/internal/plain"
)

// Mode is how advertisements travel.
type Mode string

// The modes.
const (
	Multicast Mode = "multicast"
	Unicast   Mode = "unicast"
)

// Parameters are what all units of a virtual router must agree on: units that
// differ do not understand each other, and each group then has a holder of its
// own. They are comparable.
type Parameters struct {
	Version         int // 2 (RFC 3768) or 3 (RFC 9568)
	Mode            Mode
	VirtualRouterID VirtualRouterID
	// Interval is the advertisement interval: whole centiseconds, with version 2
	// whole seconds.
	Interval time.Duration
	// Anchor is the address that advertisements carry. Receivers compare it, so
	// the charm advertises a constant and keeps the virtual IPs, which may differ
	// between units while hooks run, out of the advertisements. Only a group with
	// units of the Python charm advertises its virtual IP.
	Anchor netip.Addr
	// Auth tells one password of version 2 from another without giving it away:
	// four hexadecimal digits of a digest; empty without authentication.
	Auth string
	// Spread tells that the group has a virtual router for each of its virtual IPs
	// instead of one for all; said of the first.
	Spread bool
	// Interface is the one that the operator said the virtual IPs are to be on; empty
	// where each unit chooses for itself. Units on different networks do not hear each
	// other.
	Interface string
}

// IsInterface tells whether a network interface of that name can carry virtual IPs. The
// kernel takes any name of up to 15 bytes without "/" and white space; the characters
// here are those that keepalived.conf gives no meaning to.
func IsInterface(name string) bool {
	return name != "lo" && plain.Word(name, 15, "._:@-") && plain.Word(name[:1], 1, "")
}

// Fingerprint returns what Parameters.Auth says of a password.
func Fingerprint(password string) string {
	if password == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("vrrp " + password))
	return hex.EncodeToString(sum[:2])
}

// Anchor returns the constant that a virtual router advertises: an address that
// no host has, put on the loopback device of the holder. Family 4 gives
// 169.254.ID.112 (link-local, RFC 3927; VRRP is IP protocol 112), family 6 an
// address of a unique local prefix (RFC 4193).
func Anchor(id VirtualRouterID, six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0xfd, 0x70, 0x76, 0x72, 0x72, 0x70, 14: byte(id), 15: 112})
	}
	return netip.AddrFrom4([4]byte{169, 254, byte(id), 112})
}

// IsAnchor tells whether an address is the anchor of some virtual router.
func IsAnchor(a netip.Addr) bool {
	b := a.AsSlice()
	return len(b) > 2 && a == Anchor(VirtualRouterID(b[len(b)-2]), a.Is6())
}

// Constant tells whether the anchor is the constant one.
func (p Parameters) Constant() bool {
	return p.Anchor == Anchor(p.VirtualRouterID, p.Anchor.Is6())
}

// Understands tells whether a unit that runs p accepts the advertisements of one
// that runs q. A version 3 receiver learns the interval of the sender
// (RFC 9568 section 6.1, Active_Adver_Interval); version 2 drops another one.
func (p Parameters) Understands(q Parameters) bool {
	if p.Version == 3 && q.Version == 3 {
		q.Interval = p.Interval
	}
	return p == q
}

// String returns the parameters as text that ParseParameters reads.
func (p Parameters) String() string {
	s := fmt.Sprintf("version=%d mode=%s vrid=%d interval=%s anchor=%s",
		p.Version, p.Mode, p.VirtualRouterID, p.Interval, p.Anchor)
	if p.Auth != "" {
		s += " auth=" + p.Auth
	}
	if p.Spread {
		s += " spread=true"
	}
	if p.Interface != "" {
		s += " interface=" + p.Interface
	}
	return s
}

// ParseParameters reads what String wrote; false for anything else.
func ParseParameters(s string) (Parameters, bool) {
	var p Parameters
	values := map[string]string{}
	for _, word := range strings.Fields(s) {
		k, v, _ := strings.Cut(word, "=")
		values[k] = v
	}
	version, err1 := strconv.Atoi(values["version"])
	id, err2 := strconv.Atoi(values["vrid"])
	interval, err3 := time.ParseDuration(values["interval"])
	anchor, err4 := netip.ParseAddr(values["anchor"])
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || anchor.Zone() != "" {
		return Parameters{}, false
	}
	router, err := NewVirtualRouterID(id)
	if err != nil {
		return Parameters{}, false
	}
	p = Parameters{Version: version, Mode: Mode(values["mode"]), VirtualRouterID: router, Interval: interval, Anchor: anchor, Auth: values["auth"], Spread: values["spread"] == "true", Interface: values["interface"]}
	if p.String() != s || p.Mode != Multicast && p.Mode != Unicast || version != 2 && version != 3 ||
		p.Auth != "" && !plain.Of(p.Auth, 4, plain.Hex) || p.Interface != "" && !IsInterface(p.Interface) {
		return Parameters{}, false
	}
	return p, true
}
