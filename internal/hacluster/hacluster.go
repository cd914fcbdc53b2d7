// Package hacluster reads what a principal unit asks for on a relation of interface
// hacluster: pacemaker resources, of which virtual IPs and services that run on every unit
// can be served by keepalived. It does no I/O.
//
// The keys are those of charm-interface-hacluster and charm-helpers: an object or a list of
// texts in JSON under json_NAME. They keep no promise to take a name from a group or a clone
// once its resource is gone, and they list a resource that came back among the deleted ones
// for ever, so json_resources alone says what is asked for.
package hacluster

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/plain"
)

// State is how far a request goes.
type State int

// The states.
const (
	// Absent: nothing is asked for yet. The library writes when its request changes, and
	// remembers the last one also for a new relation: no reason to give anything up.
	Absent State = iota
	// Empty: something is asked for, no virtual IP is among it.
	Empty
	// Wanted: virtual IPs are asked for.
	Wanted
	// Refused: what is asked for cannot be served, or not be read, as a whole.
	Refused
)

// Request is what a principal unit asks for.
type Request struct {
	State State
	// VirtualIPs are in the order of their resources' names, those that the principal asked
	// to delete before last; only when Wanted.
	VirtualIPs []VirtualIP
	// Services are the systemd units that are to be active on every unit, by their
	// resources' names.
	Services []string
	// Reason is why it is Refused: one line that names the first resource, or key, in the
	// way.
	Reason string
	// Began tells, of one that is Absent, that the principal has written something: it is not
	// its library's memory that keeps the request back.
	Began bool
}

// Interface is the network interface that all virtual IPs are to be on; empty for none.
func (r Request) Interface() string {
	name := ""
	for n, v := range r.VirtualIPs {
		if n > 0 && v.Interface != name {
			return ""
		}
		name = v.Interface
	}
	return name
}

// The key with which a unit says that what was asked for is in force. The library of charms
// counts yes and true, charm-helpers anything.
const (
	Clustered = "clustered"
	Yes       = "yes"
)

// The agents (resource-agents, heartbeat/IPaddr2 and heartbeat/IPv6addr) and the parameter
// that has their address.
var addressAgents = map[string]string{"ocf:heartbeat:IPaddr2": "ip", "ocf:heartbeat:IPv6addr": "ipv6addr"}

// refusal is why a request is Refused.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// crmCharms are charms that run crm by themselves, a program of pacemaker's, and fail without
// it whatever serves their request.
var crmCharms = []string{"kubernetes-control-plane", "kubernetes-master"}

// ReadFrom understands the databag of a principal unit of a charm; empty where that is not
// known.
func ReadFrom(charm string, bag juju.Databag) Request {
	if slices.Contains(crmCharms, charm) {
		return Request{State: Refused, Reason: charm + " runs crm of pacemaker by itself: relate it on juju-info instead"}
	}
	return Read(bag)
}

// Read understands the databag of a principal unit.
func Read(bag juju.Databag) Request {
	r, err := read(bag)
	if err != nil {
		return Request{State: Refused, Reason: err.Error()}
	}
	return r
}

func read(bag juju.Databag) (Request, error) {
	if _, asks := bag["json_resources"]; !asks {
		for _, name := range keys() {
			if _, old := bag[name]; old {
				return Request{}, refuse("it asks in the form of charms from before json_resources (key %s)", name)
			}
		}
		_, began := bag["corosync_mcastport"]
		return Request{Began: began}, nil
	}
	k, err := readKeys(bag)
	if err != nil {
		return Request{}, err
	}
	if err := k.refuseConstraints(); err != nil {
		return Request{}, err
	}
	cloned, err := k.cloned()
	if err != nil {
		return Request{}, err
	}
	var r Request
	var named []string
	address := map[string]VirtualIP{}
	for _, name := range slices.Sorted(maps.Keys(k.resources)) {
		agent := k.resources[name]
		if _, is := addressAgents[agent]; is {
			if address[name], err = k.primitive(name, agent); err != nil {
				return Request{}, err
			}
			named = append(named, name)
			continue
		}
		unit, is := serviceOf(agent)
		switch {
		case !is:
			return Request{}, refuse("%s is %s", show(name), show(agent))
		case !cloned[name]:
			return Request{}, refuse("%s, which is %s, is no clone", show(name), show(agent))
		}
		r.Services = append(r.Services, unit)
	}
	if len(named) == 0 {
		r.State = Empty
		return r, nil
	}
	r.State = Wanted
	seen := map[netip.Addr]int{}
	for _, name := range k.deletedLast(named) {
		v := address[name]
		// Charms that rename their resources ask for an address twice.
		n, twice := seen[v.Addr()]
		if !twice {
			seen[v.Addr()] = len(r.VirtualIPs)
			r.VirtualIPs = append(r.VirtualIPs, v)
			continue
		}
		was := &r.VirtualIPs[n]
		if was.Interface != "" && v.Interface != "" && was.Interface != v.Interface {
			return Request{}, refuse("%s is for interface %s, another one with its address for %s", show(name), v.Interface, was.Interface)
		}
		was.Interface = cmp.Or(was.Interface, v.Interface)
	}
	return r, nil
}

// refuseConstraints refuses what ties resources together in ways that keepalived has not.
func (k content) refuseConstraints() error {
	for _, c := range []struct {
		key   string
		names map[string]string
		what  string
	}{
		{"json_ms", k.ms, "a master/slave set"},
		{"json_orders", k.orders, "an order"},
		{"json_locations", k.locations, "a location"},
		{"json_colocations", k.colocations, "a colocation"},
	} {
		for _, name := range slices.Sorted(maps.Keys(c.names)) {
			return refuse("%s is %s (%s)", show(name), c.what, c.key)
		}
	}
	return nil
}

// cloned are the resources that are to run on all units. A virtual IP that is on all of them
// at once is no failover.
func (k content) cloned() (map[string]bool, error) {
	all := map[string]bool{}
	for _, clone := range slices.Sorted(maps.Keys(k.clones)) {
		members := strings.Fields(k.clones[clone])
		if len(members) > 1 {
			members = members[:1] // crm's attributes of the clone follow
		}
		if len(members) > 0 {
			if list, group := k.groups[members[0]]; group {
				members = strings.Fields(list)
			}
		}
		for _, name := range members {
			if _, address := addressAgents[k.resources[name]]; address {
				return nil, refuse("%s clones a virtual IP, %s", show(clone), show(name))
			}
			all[name] = true
		}
	}
	return all, nil
}

// deletedLast sorts: what was asked to be deleted before, and is there all the same, comes
// after what was not.
func (k content) deletedLast(names []string) []string {
	deleted := make(map[string]bool, len(k.deleted))
	for _, name := range k.deleted {
		deleted[name] = true
	}
	var first, last []string
	for _, name := range names {
		if deleted[name] {
			last = append(last, name)
		} else {
			first = append(first, name)
		}
	}
	return append(first, last...)
}

// show is a name as a status bears it: one short line, whatever somebody wrote.
func show(s string) string {
	const longest = 80
	if plain.Word(s, longest, "._:@/-") {
		return s
	}
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return strconv.QuoteToASCII(s)
}
