// Package conflict judges what a look at a network segment brought: whether
// somebody else uses the virtual router ID or a virtual IP, and whether the
// advertisements of peers arrive. It does no I/O.
package conflict

import (
	"net/netip"
	"time"

	"keepalived-charm/internal/vrrp"
)

// Question is what to look for.
type Question struct {
	Segments []Segment
	// Listen is how long to listen for advertisements and answers.
	Listen time.Duration
	// Named asks by ARP in this machine's name, not by probes, which Linux answers as an
	// owner but never as a proxy.
	Named bool
}

// Segment is a part of the network that one interface is on.
type Segment struct {
	Interface string
	// Ask are the addresses to ask for by ARP and neighbour discovery.
	Ask []netip.Addr
}

// Look is what was heard. Nothing that this machine itself says is in it.
type Look struct {
	Heard   []Heard
	Answers []Answer
	// Proxies are hosts that answer for every address; their answers are not among
	// Answers.
	Proxies []Proxy
	// Listened is how long.
	Listened time.Duration
	// Faults say in words what could not be looked at.
	Faults []string
	// Crowds are those of whom no more than Most are among Heard and Answers.
	Crowds []Crowd
}

// Most bounds how many hosts a look tells of that answer for one address or advertise one
// virtual router ID: anybody on the segment can make them up, thousands a second.
const Most = 8

// Crowd is more than Most hosts at the same.
type Crowd struct {
	Interface string
	// Address is what they answer for; invalid for those who advertise RouterID.
	Address  netip.Addr
	RouterID vrrp.VirtualRouterID
}

// Heard is an advertisement, the last one of its sender and virtual router.
type Heard struct {
	vrrp.Advertisement
	Interface string
	Sender    Host
	// Delivered tells that it reaches programs on this machine. One that is not
	// arrives at the interface and is dropped by the machine's packet filter.
	Delivered bool
}

// Six tells that the advertisement travelled over IPv6.
func (h Heard) Six() bool { return h.Sender.Address.Is6() }

// Answer tells that somebody has an address that was asked for.
type Answer struct {
	Interface string
	// Address is the one asked for.
	Address netip.Addr
	// By is who answered; its address is another one of that host, if known.
	By Host
	// Last tells that it answered the last of the questions too.
	Last bool
}

// Host is somebody on the segment. Either field may be unknown.
type Host struct {
	Address netip.Addr
	MAC     string
}

// String names the host as an operator looks for it.
func (h Host) String() string {
	switch {
	case !h.Address.IsValid() && h.MAC == "":
		return "an unknown host"
	case !h.Address.IsValid():
		return h.MAC
	case h.MAC == "":
		return h.Address.String()
	}
	return h.Address.String() + " (" + h.MAC + ")"
}

// View is what the unit that looked knows by itself.
type View struct {
	// Runs are the parameters that the unit uses or is about to use, Interface is
	// where its advertisements travel.
	Runs      vrrp.Parameters
	Interface string
	// Routers are all virtual router IDs that it uses or is about to use.
	Routers    []vrrp.VirtualRouterID
	VirtualIPs []netip.Addr
	Peers      []Peer
	// Incomplete tells that there are units which are not among Peers yet: what looks
	// strange may be one of them.
	Incomplete bool
	// Estranged tells that this unit follows a holder that is no unit of the group: who
	// advertises without having told the group so is a stranger, wherever it lives.
	Estranged bool
	// Held are the virtual IPs whose VRRP instance is MASTER here; Followed those whose
	// instance is BACKUP and receives somebody's advertisements.
	Held, Followed []netip.Addr
	// Listened is how long.
	Listened time.Duration
}

// Peer is another unit of the group.
type Peer struct {
	Name string
	// Addresses are its own, MACs those of its interfaces, as far as it told.
	Addresses []netip.Addr
	MACs      []string
	// Runs are the parameters it uses; nil while it serves nothing.
	Runs *vrrp.Parameters
	// Routers are the virtual router IDs that it told it uses, or is about to use.
	Routers []vrrp.VirtualRouterID
}

// Kind is what is wrong.
type Kind int

// The kinds, in the order in which findings are listed.
const (
	// RouterTaken: a stranger advertises the virtual router ID.
	RouterTaken Kind = iota
	// AddressTaken: a stranger answers at a virtual IP.
	AddressTaken
	// TwoHolders: a peer has a virtual IP that this unit has too.
	TwoHolders
	// HolderUnheard: a peer has a virtual IP, and this unit would not hear of it.
	HolderUnheard
	// RouterMaybeTaken and AddressMaybeTaken: it is a stranger, or a unit that is not
	// known here yet, or a peer that has not told of it yet.
	RouterMaybeTaken
	AddressMaybeTaken
)

// Path is what becomes of a peer's advertisements on their way.
type Path int

// The paths.
const (
	// Lost: they do not arrive at this machine's interface.
	Lost Path = iota
	// Dropped: they arrive and this machine's packet filter drops them.
	Dropped
	// Arrives: they arrive, so it is this unit's that do not arrive at the peer.
	Arrives
	// Apart: the two run different parameters, so neither takes the other's.
	Apart
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind Kind
	// Host is the stranger or the peer.
	Host Host
	// Peer is the peer's name, or that of the peer whose machine a stranger may share;
	// empty for a stranger.
	Peer string
	// Address is the virtual IP.
	Address netip.Addr
	// Said is the stranger's advertisement.
	Said vrrp.Advertisement
	// Path is what becomes of the peer's advertisements.
	Path Path
}

// Merges tells a stranger whose advertisements carry what this group's do, as
// those of another deployment of the charm: both elect one holder between them.
func (f Finding) Merges(runs vrrp.Parameters) bool {
	return f.Said.Version == runs.Version && len(f.Said.Addresses) == 1 && f.Said.Addresses[0] == runs.Anchor
}
