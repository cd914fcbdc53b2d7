// Package endpoint knows what the charm publishes on each of its endpoints, key
// by key. It does no I/O.
package endpoint

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"

	"keepalived-charm/internal/juju"
)

// The endpoints of metadata.yaml.
const (
	JujuInfo     = "juju-info"
	LBSink       = "lb-sink"
	Website      = "website"
	LoadBalancer = "loadbalancer"
	Cluster      = "cluster"
)

// All lists the endpoints of metadata.yaml.
func All() []string { return []string{JujuInfo, LBSink, Website, LoadBalancer, Cluster} }

// Service is what clients are told about the virtual IPs.
type Service struct {
	// Addresses are the virtual IPs, the one published first in front; none
	// withdraws what was published.
	Addresses []netip.Addr
	// Hostname replaces the address in the hostname key; may be empty.
	Hostname string
	Port     int
}

// HTTP is the databag of one unit on website (interface http). Every key that
// the charm ever writes is there, an empty value deletes it. own is the unit's
// own address, which Juju put under private-address before us.
func HTTP(s Service, own string) juju.Databag {
	if len(s.Addresses) == 0 {
		return juju.Databag{"hostname": "", "private-address": own, "port": "", "extended_data": ""}
	}
	name := func(a netip.Addr) string {
		if s.Hostname != "" {
			return s.Hostname
		}
		return a.String()
	}
	port := strconv.Itoa(s.Port)
	return juju.Databag{
		"hostname":        name(s.Addresses[0]),
		"private-address": s.Addresses[0].String(),
		"port":            port,
		"extended_data": extended(s, func(a netip.Addr) map[string]string {
			return map[string]string{"hostname": name(a), "private-address": a.String(), "port": port}
		}),
	}
}

// PublicAddress is the databag of one unit on loadbalancer (interface
// public-address).
func PublicAddress(s Service) juju.Databag {
	if len(s.Addresses) == 0 {
		return juju.Databag{"public-address": "", "port": "", "extended_data": ""}
	}
	port := strconv.Itoa(s.Port)
	return juju.Databag{
		"public-address": s.Addresses[0].String(),
		"port":           port,
		"extended_data": extended(s, func(a netip.Addr) map[string]string {
			return map[string]string{"public-address": a.String(), "port": port}
		}),
	}
}

// extended lists the addresses behind the first; empty for a single one, where
// the old charm has no such key.
func extended(s Service, entry func(netip.Addr) map[string]string) string {
	if len(s.Addresses) < 2 {
		return ""
	}
	var list []map[string]string
	for _, a := range s.Addresses[1:] {
		list = append(list, entry(a))
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // maps of strings always marshal
	}
	return string(text)
}

// Member is what a unit tells its peers on cluster.
type Member struct {
	// Principal is the unit whose machine this one shares. Units whose principal
	// units belong to other applications form other groups.
	Principal juju.Unit
	// Rank is the unit's rank in its group; negative when it told none.
	Rank int
	// Addresses are the unit's own addresses, no virtual IP among them.
	Addresses []netip.Addr
}

// Databag returns the member's databag.
func (m Member) Databag() juju.Databag {
	var addresses []string
	for _, a := range m.Addresses {
		addresses = append(addresses, a.String())
	}
	return juju.Databag{
		"principal": m.Principal.String(),
		"rank":      strconv.Itoa(m.Rank),
		"addresses": strings.Join(addresses, ","),
	}
}

// ReadMember reads a databag of cluster. What is missing or makes no sense is
// left at its zero value (the rank: -1): a peer may run another version of the
// charm, and must not be able to stop this one.
func ReadMember(bag juju.Databag) Member {
	m := Member{Rank: -1}
	if u, err := juju.ParseUnit(bag["principal"]); err == nil {
		m.Principal = u
	}
	if n, err := strconv.Atoi(bag["rank"]); err == nil && n >= 0 {
		m.Rank = n
	}
	for _, s := range strings.Split(bag["addresses"], ",") {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			m.Addresses = append(m.Addresses, a)
		}
	}
	return m
}

// Changes returns what must be written so that have shows every key of want;
// nothing when it does already.
func Changes(want, have juju.Databag) juju.Databag {
	changes := juju.Databag{}
	for k, v := range want {
		if have[k] != v {
			changes[k] = v
		}
	}
	return changes
}
