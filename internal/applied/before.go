package applied

import (
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// Texts are the files that tell what a unit runs; empty for one that is not there.
type Texts struct {
	// Record is what Encode wrote.
	Record string
	// Fragment and Options are what a revision from before the record left: what
	// keepalived reads, and the options that the unit went by.
	Fragment, Options string
	// Python is the keepalived.conf of the Python charm, or anybody's.
	Python string
	// Number tells the virtual router's number of an instance of the application; false
	// for somebody else's instance.
	Number func(instance string) (int, bool)
}

// Read returns what a unit runs. The error is a *Later: what it runs then is not known.
// A record that somebody spoilt counts as one that is not there. Where the Python charm
// has written since, the unit went back to it and runs that; one with other virtual IPs is
// another application's.
func Read(t Texts) (Record, error) {
	python := fromPython(t.Python)
	if t.Record != "" {
		r, err := Decode(t.Record)
		if err == nil && (!python.Serves() || !r.shares(python)) {
			return r, nil
		}
		var later *Later
		if errors.As(err, &later) && !python.Serves() {
			return Record{}, later
		}
	}
	if python.Serves() {
		return python, nil
	}
	if t.Fragment != "" {
		return fromFragment(t), nil
	}
	return Record{}, nil
}

// Served are the virtual IPs of a unit, in the order of the files that keepalived reads: those
// of its record, or where there is none those of the files, whatever else it runs; with them comes the port that the Python charm checks, zero where
// that is not known. r is what Read returned.
func Served(t Texts, r Record) (list []netip.Addr, port int) {
	if r.Python {
		const target = "</dev/tcp/127.0.0.1/"
		_, rest, _ := strings.Cut(t.Python, target)
		digits, _, _ := strings.Cut(rest, "'")
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
			port = int(n)
		}
		return keepalived.VirtualAddresses(t.Python), port
	}
	for _, c := range keepalived.Instances(t.Fragment) {
		if _, ours := t.Number(c.Name); ours {
			list = append(list, slices.DeleteFunc(c.Addresses, vrrp.IsAnchor)...)
		}
	}
	if !r.Serves() {
		return list, 0
	}
	served := slices.DeleteFunc(list, func(a netip.Addr) bool { _, is := r.Addresses[a]; return !is })
	for _, a := range slices.SortedFunc(maps.Keys(r.Addresses), netip.Addr.Compare) {
		if !slices.Contains(served, a) {
			served = append(served, a) // somebody took it from the file
		}
	}
	return served, 0
}

// shares tells that two records have a virtual IP in common.
func (r Record) shares(other Record) bool {
	for a := range other.Addresses {
		if _, both := r.Addresses[a]; both {
			return true
		}
	}
	return false
}

// fromFragment converts what a revision from before the record left.
func fromFragment(t Texts) Record {
	r := Record{Routers: map[int]Router{}, Addresses: map[netip.Addr]Place{}}
	for _, a := range keepalived.Peers(t.Fragment) {
		if !slices.Contains(r.Peers, a) { // each instance lists them
			r.Peers = append(r.Peers, a)
		}
	}
	placed := keepalived.Places(t.Fragment)
	for _, c := range keepalived.Instances(t.Fragment) {
		number, ours := t.Number(c.Name)
		p, known := keepalived.ReadParameters(t.Fragment, c.Name)
		if !ours || !known {
			continue
		}
		r.Routers[number] = Router{Parameters: p, Password: keepalived.Password(t.Fragment, c.Name), Link: c.Interface, Also: also(c, p)}
		for _, a := range c.Addresses {
			if at, ok := placed[a]; ok && !vrrp.IsAnchor(a) {
				r.Addresses[a] = Place{Router: number, Interface: at.Interface, Bits: at.Bits()}
			}
		}
	}
	if len(r.Routers) == 0 {
		return Record{} // somebody spoilt it
	}
	d := json.NewDecoder(strings.NewReader(t.Options))
	d.UseNumber()
	if d.Decode(&r.Options) != nil {
		r.Options = nil // somebody wrote into it, or there are none
	}
	return r
}

// fromPython reads the Python charm's file.
func fromPython(text string) Record {
	p, ok := keepalived.ReadPython(text)
	if !ok {
		return Record{}
	}
	c := keepalived.Instances(text)[0]
	r := Record{Routers: map[int]Router{0: {Parameters: p, Link: c.Interface, Also: also(c, p)}}, Addresses: map[netip.Addr]Place{}, Python: true}
	for _, a := range c.Addresses {
		r.Addresses[a] = Place{Interface: c.Interface, Bits: a.BitLen()}
	}
	return r
}

// also lists what an instance advertises besides its anchor, in the anchor's family.
func also(c keepalived.Instance, p vrrp.Parameters) []netip.Addr {
	var list []netip.Addr
	for _, a := range c.Advertised {
		if a != p.Anchor && a.Is6() == p.Anchor.Is6() {
			list = append(list, a)
		}
	}
	return list
}
