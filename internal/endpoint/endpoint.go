// Package endpoint knows what the charm publishes on each of its endpoints, key
// by key. It does no I/O.
package endpoint

import (
	"encoding/json"
	"strconv"

	"keepalived-charm/internal/juju"
)

// The endpoints of metadata.yaml.
const (
	JujuInfo     = "juju-info"
	HA           = "ha"
	LBSink       = "lb-sink"
	Website      = "website"
	LoadBalancer = "loadbalancer"
	LBConsumers  = "lb-consumers"
	CosAgent     = "cos-agent"
	Cluster      = "cluster"
)

// All lists the endpoints of metadata.yaml.
func All() []string {
	return []string{JujuInfo, HA, LBSink, Website, LoadBalancer, LBConsumers, CosAgent, Cluster}
}

// Principal lists those of the relations to the principal unit: each brings the unit, and the
// unit goes with the last one.
func Principal() []string { return []string{JujuInfo, HA} }

// Service is what clients are told about the virtual IPs.
type Service struct {
	// Addresses are the virtual IPs as text, the one published first in front; none
	// withdraws what was published.
	Addresses []string
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
	name := func(a string) string {
		if s.Hostname != "" {
			return s.Hostname
		}
		return a
	}
	port := strconv.Itoa(s.Port)
	return juju.Databag{
		"hostname":        name(s.Addresses[0]),
		"private-address": s.Addresses[0],
		"port":            port,
		"extended_data": extended(s, func(a string) map[string]string {
			return map[string]string{"hostname": name(a), "private-address": a, "port": port}
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
		"public-address": s.Addresses[0],
		"port":           port,
		"extended_data": extended(s, func(a string) map[string]string {
			return map[string]string{"public-address": a, "port": port}
		}),
	}
}

// extended lists the addresses behind the first; empty for a single one, where
// the old charm has no such key.
func extended(s Service, entry func(string) map[string]string) string {
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

// Observed is the databag of one unit on cos-agent (interface cos_agent); config is what
// package cos makes, empty withdraws it.
func Observed(config string) juju.Databag { return juju.Databag{"config": config} }
