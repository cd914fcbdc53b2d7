// Package applied is the record of what a unit runs: one JSON file per application,
// written before the files that keepalived reads. What the unit did last, it knows from
// here alone; the files that it renders are output. It does no I/O.
//
// The record is never older than the fragment: it is written first, and removed last. A
// hook that is killed in between leaves a record of what the next one writes anyway,
// while the change is still remembered as owed. The other way round an address would be
// on the machine of which the unit does not know that keepalived put it there.
package applied

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keepalived-charm/internal/vrrp"
)

// oldest is the first version of a record that this revision of the charm reads.
const oldest = 1

// Record is what a unit runs; the zero value is that of a unit that serves nothing.
type Record struct {
	// Options are those that the unit goes by, by name and as Juju gave them, defaults
	// included; nil when they are not known.
	Options map[string]any
	// Moving are later options that the unit took, while a change of what all units share
	// waits for the others; nil for none. They may still turn out not to do.
	Moving map[string]any
	// Routers are the virtual routers by number, 0 is the first.
	Routers map[int]Router
	// Addresses are the virtual IPs.
	Addresses map[netip.Addr]Place
	// Peers are where advertisements go in unicast mode; none with multicast.
	Peers []netip.Addr
	// Left are units that are no peers any more and may take part still, by number, with when
	// they left, in seconds since 1970.
	Left map[int]int64
	// Python tells that this was read from the Python charm's file: nothing of it is
	// this charm's yet. A record that was written never says so.
	Python bool
}

// Router is a virtual router as the unit runs it.
type Router struct {
	vrrp.Parameters
	// Password is the one whose fingerprint Parameters has; empty for none. Where it is
	// not, only root may read the record.
	Password string
	// Link is the interface on which advertisements travel.
	Link string
	// Also are the addresses that advertisements carry besides the anchor: units of the
	// Python charm advertise all their virtual IPs.
	Also []netip.Addr
}

// Place is where a virtual IP is.
type Place struct {
	// Router is the number of its virtual router.
	Router int
	// Interface has the address, with a prefix length of Bits.
	Interface string
	Bits      int
}

// Serves tells whether the unit serves anything, for the Python charm or for this one.
func (r Record) Serves() bool { return len(r.Routers) > 0 }

// Ours tells whether this charm serves anything on the unit.
func (r Record) Ours() bool { return r.Serves() && !r.Python }

// Latest are the options that the unit took last; nil when they are not known.
func (r Record) Latest() map[string]any {
	if r.Moving != nil {
		return r.Moving
	}
	return r.Options
}

// Uses tells whether some virtual IP is on an interface.
func (r Record) Uses(iface string) bool {
	for _, p := range r.Addresses {
		if p.Interface == iface {
			return true
		}
	}
	return false
}

// All are the addresses that a holder of everything has: the virtual IPs, and what
// advertisements carry, by the number of the router.
func (r Record) All() map[int][]netip.Addr {
	all := map[int][]netip.Addr{}
	for number, router := range r.Routers {
		for _, a := range append([]netip.Addr{router.Anchor}, router.Also...) {
			if _, listed := r.Addresses[a]; !listed {
				all[number] = append(all[number], a)
			}
		}
	}
	for a, p := range r.Addresses {
		all[p.Router] = append(all[p.Router], a)
	}
	return all
}

// LongestInterval is the longest advertisement interval; zero without a router.
func (r Record) LongestInterval() time.Duration {
	var longest time.Duration
	for _, router := range r.Routers {
		longest = max(longest, router.Interval)
	}
	return longest
}

// Later is a record that a later revision of the charm wrote.
type Later struct{ Version int }

// Error names both versions.
func (l *Later) Error() string {
	return fmt.Sprintf("it is of version %d, this revision of the charm reads version %d", l.Version, Version)
}

// The file, as it is written.
type file struct {
	Version   int                      `json:"version"`
	Options   map[string]any           `json:"options,omitempty"`
	Moving    map[string]any           `json:"moving,omitempty"`
	Routers   []router                 `json:"routers"`
	Addresses map[netip.Addr]placement `json:"addresses"`
	Peers     []netip.Addr             `json:"peers,omitempty"`
	Left      map[int]int64            `json:"left,omitempty"`
}

type router struct {
	Number           int          `json:"number"`
	VRRPVersion      int          `json:"vrrp_version"`
	Mode             vrrp.Mode    `json:"mode"`
	VirtualRouterID  int          `json:"virtual_router_id"`
	Interval         string       `json:"interval"`
	Anchor           netip.Addr   `json:"anchor"`
	Auth             string       `json:"auth,omitempty"`
	Spread           bool         `json:"spread,omitempty"`
	Password         string       `json:"password,omitempty"`
	NetworkInterface string       `json:"network_interface,omitempty"`
	Link             string       `json:"link"`
	Also             []netip.Addr `json:"also,omitempty"`
}

type placement struct {
	Router    int    `json:"router"`
	Interface string `json:"interface"`
	Bits      int    `json:"bits"`
}

// Encode returns the text of the file: the same for equal records. It refuses what
// Decode would refuse.
func (r Record) Encode() (string, error) {
	f := file{Version: Version, Options: r.Options, Moving: r.Moving, Routers: []router{}, Addresses: map[netip.Addr]placement{}, Peers: r.Peers, Left: r.Left}
	for _, number := range slices.Sorted(maps.Keys(r.Routers)) {
		one := r.Routers[number]
		p := one.Parameters
		f.Routers = append(f.Routers, router{Number: number, VRRPVersion: p.Version, Mode: p.Mode, VirtualRouterID: int(p.VirtualRouterID),
			Interval: p.Interval.String(), Anchor: p.Anchor, Auth: p.Auth, Spread: p.Spread, Password: one.Password, NetworkInterface: p.Interface, Link: one.Link, Also: one.Also})
	}
	for a, p := range r.Addresses {
		f.Addresses[a] = placement(p)
	}
	if _, err := f.record(); err != nil {
		return "", fmt.Errorf("cannot record what this unit runs: %w", err)
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return "", fmt.Errorf("cannot record what this unit runs: %w", err)
	}
	return string(text) + "\n", nil
}

// Decode reads what Encode wrote. The error is a *Later when a later revision of the
// charm wrote it; else somebody spoilt it.
func Decode(text string) (Record, error) {
	var of struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal([]byte(text), &of); err != nil {
		return Record{}, err
	}
	switch {
	case of.Version > Version:
		return Record{}, &Later{of.Version}
	case of.Version < oldest:
		return Record{}, fmt.Errorf("there is no version %d", of.Version)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	var f file
	if err := d.Decode(&f); err != nil {
		return Record{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Record{}, errors.New("there is more than one JSON value")
	}
	return f.record()
}

// record checks everything that a text can say and a record cannot.
func (f file) record() (Record, error) {
	r := Record{Options: f.Options, Moving: f.Moving, Peers: f.Peers, Left: f.Left, Routers: map[int]Router{}, Addresses: map[netip.Addr]Place{}}
	for _, one := range f.Routers {
		p, err := one.parameters()
		if err != nil {
			return Record{}, fmt.Errorf("virtual router %d: %w", one.Number, err)
		}
		if _, twice := r.Routers[one.Number]; twice || one.Number < 0 {
			return Record{}, fmt.Errorf("virtual router %d is there twice, or has no number", one.Number)
		}
		if !plain(one.Also) {
			return Record{}, fmt.Errorf("virtual router %d advertises what is no address", one.Number)
		}
		r.Routers[one.Number] = Router{Parameters: p, Password: one.Password, Link: one.Link, Also: one.Also}
	}
	for a, p := range f.Addresses {
		if _, there := r.Routers[p.Router]; !there || !plain([]netip.Addr{a}) || p.Bits < 0 || p.Bits > a.BitLen() || p.Interface == "" {
			return Record{}, fmt.Errorf("virtual IP %s has no place", a)
		}
		r.Addresses[a] = Place(p)
	}
	if !plain(f.Peers) {
		return Record{}, errors.New("a peer has no address")
	}
	if r.Moving != nil && r.Options == nil {
		return Record{}, errors.New("there are options to move to, and none to move from")
	}
	return r, nil
}

func plain(addresses []netip.Addr) bool {
	return !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !a.IsValid() || a.Zone() != "" || a.Is4In6() })
}

func (r router) parameters() (vrrp.Parameters, error) {
	id, err := vrrp.NewVirtualRouterID(r.VirtualRouterID)
	if err != nil {
		return vrrp.Parameters{}, err
	}
	interval, err := time.ParseDuration(r.Interval)
	if err != nil {
		return vrrp.Parameters{}, err
	}
	p := vrrp.Parameters{Version: r.VRRPVersion, Mode: r.Mode, VirtualRouterID: id, Interval: interval, Anchor: r.Anchor, Auth: r.Auth, Spread: r.Spread, Interface: r.NetworkInterface}
	if (p.Version != 2 && p.Version != 3) || (p.Mode != vrrp.Multicast && p.Mode != vrrp.Unicast) || interval <= 0 || !plain([]netip.Addr{p.Anchor}) ||
		p.Interface != "" && !vrrp.IsInterface(p.Interface) {
		return p, fmt.Errorf("no unit runs %v", p)
	}
	return p, nil
}

// Same tells whether raw options are the same.
func Same(a, b map[string]any) bool {
	one, errOne := json.Marshal(a)
	other, errOther := json.Marshal(b)
	return errOne == nil && errOther == nil && bytes.Equal(one, other)
}
