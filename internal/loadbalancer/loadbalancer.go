// Package loadbalancer reads what applications ask of a load balancer on a relation of
// interface loadbalancer, and answers as one that forwards nothing: whoever is served runs on
// the machines that the virtual IPs move between. It does no I/O.
//
// The keys are those of the library loadbalancer-interface, schema 1, in application databags.
// A consumer's library takes any member of an answer that it does not know, and an answer with
// neither address nor error, for a fault of its hook.
package loadbalancer

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/juju"
)

// Schema is the version of the interface that is spoken. A consumer asks for nothing before it
// has read that.
const Schema = "1"

const (
	keyVersion = "version"
	asks       = "request_"
	answers    = "response_"
	// mostBytes bounds a request, certificates in it included.
	mostBytes = 256 << 10
	// mostNamed bounds how many ports an answer names.
	mostNamed = 5
)

// Request is what is asked for, as far as it matters to who forwards nothing.
type Request struct {
	// Unread: it cannot be read, so that nothing tells what an answer would be to.
	Unread bool
	// Hash names this form of the request, for the answer alone; nil for none.
	Hash *string
	// Moved are ports that the backends would have to be reached at by another number.
	Moved []string
	// WrongPorts tells that no port is named, or one outside 1 to 65535.
	WrongPorts bool
	// Backends are those named; none for all units of the application.
	Backends []string
	// Address is the one to be reached at; nil for any, invalid for what is no address.
	Address *netip.Addr
	// Terminates asks for TLS to end at the load balancer.
	Terminates bool
	// Protocol is as it was named, known or not.
	Protocol string
}

// Read understands an application databag: its requests by name.
func Read(bag juju.Databag) map[string]Request {
	requests := map[string]Request{}
	for key, text := range bag {
		if name, is := strings.CutPrefix(key, asks); is {
			requests[name] = read(text)
		}
	}
	return requests
}

func read(text string) Request {
	var v struct {
		Protocol       string         `json:"protocol"`
		PortMapping    map[string]int `json:"port_mapping"`
		Backends       []string       `json:"backends"`
		TLSTermination bool           `json:"tls_termination"`
		IngressAddress *string        `json:"ingress_address"`
		SentHash       *string        `json:"sent_hash"`
	}
	if len(text) > mostBytes || json.Unmarshal([]byte(text), &v) != nil || v.PortMapping == nil {
		return Request{Unread: true}
	}
	r := Request{Hash: v.SentHash, Backends: v.Backends, Terminates: v.TLSTermination, Protocol: v.Protocol, WrongPorts: len(v.PortMapping) == 0}
	for _, from := range slices.Sorted(maps.Keys(v.PortMapping)) {
		to := v.PortMapping[from]
		r.WrongPorts = r.WrongPorts || to < 1 || to > 65535
		if fmt.Sprint(to) != from {
			r.Moved = append(r.Moved, fmt.Sprintf("%.10s to %d", from, to))
		}
	}
	if n := len(r.Moved) - mostNamed; n > 0 {
		r.Moved = append(r.Moved[:mostNamed], fmt.Sprintf("and %d more", n))
	}
	if v.IngressAddress != nil && *v.IngressAddress != "" {
		a, _ := netip.ParseAddr(*v.IngressAddress)
		r.Address = &a
	}
	return r
}

// Provider is who answers an application.
type Provider struct {
	// Beside are the applications whose units it serves beside, sorted; none while it serves
	// nothing.
	Beside []string
	// Addresses are the virtual IPs that it serves beside the one that asks, the first one
	// first, Machines the addresses of units there; Unordered tells that it is not known which
	// one is the first: one that was granted stays.
	Addresses, Machines []netip.Addr
	Unordered           bool
}

// answer is an answer, with exactly these members.
type answer struct {
	Address *string           `json:"address"`
	Error   *string           `json:"error"`
	Fields  map[string]string `json:"error_fields"`
	Message *string           `json:"error_message"`
	Hash    *string           `json:"received_hash"`
}

// Databag is what an application databag says to an application and its requests: nothing
// but the version while no virtual IP is served. have is what it says now, of which keys that
// are not wanted any more are deleted.
func (p Provider) Databag(to string, requests map[string]Request, have juju.Databag) juju.Databag {
	bag := juju.Databag{keyVersion: Schema}
	for key := range have {
		if strings.HasPrefix(key, answers) {
			bag[key] = ""
		}
	}
	if len(p.Beside) == 0 {
		return bag
	}
	for name, r := range requests {
		if r.Unread {
			delete(bag, answers+name) // as it was answered before, if it was
			continue
		}
		text, err := json.Marshal(p.answer(to, r, have[answers+name]))
		if err != nil {
			panic(err) // texts always marshal
		}
		bag[answers+name] = string(text)
	}
	return bag
}

// Kept is what an application databag says while nobody can tell what is served: the version,
// and of what it says now all that was asked for and still is.
func Kept(requests map[string]Request, have juju.Databag) juju.Databag {
	bag := juju.Databag{keyVersion: Schema}
	for key := range have {
		if name, is := strings.CutPrefix(key, answers); is {
			if _, asked := requests[name]; !asked {
				bag[key] = ""
			}
		}
	}
	return bag
}

// answer grants a request or says what of it cannot be had. Preferences, such as how requests
// are shared out or the check, ask for nothing that must be. told is what was answered before:
// units beside one more application take nothing away that was granted.
func (p Provider) answer(to string, r Request, told string) answer {
	a, at, before := answer{Fields: map[string]string{}, Hash: r.Hash}, netip.Addr{}, grantedBy(told)
	switch {
	case r.Address != nil:
		at = *r.Address
	case p.Unordered && slices.Contains(p.Addresses, before):
		at = before
	case len(p.Addresses) > 0:
		at = p.Addresses[0]
	}
	switch {
	case !slices.Contains(p.Beside, to):
		a.Message = text(fmt.Sprintf("keepalived forwards nothing: the virtual IPs are on the machines of %s, not of %s", strings.Join(p.Beside, " and "), to))
	case len(r.Moved) > 0:
		a.Fields["port_mapping"] = "keepalived forwards nothing: listen and backend port must be equal, not " + strings.Join(r.Moved, ", ")
	case r.WrongPorts:
		a.Fields["port_mapping"] = "must name ports from 1 to 65535"
	case r.Terminates:
		a.Fields["tls_termination"] = "keepalived forwards nothing and ends no TLS"
	case slices.ContainsFunc(r.Backends, p.foreign):
		a.Fields["backends"] = "keepalived forwards nothing: must be addresses of units of " + to + ", or empty"
	case !slices.Contains(p.Addresses, at):
		a.Fields["ingress_address"] = "must be a virtual IP of keepalived"
	case !slices.Contains([]string{"tcp", "udp", "http", "https"}, r.Protocol):
		a.Fields["protocol"] = "must be tcp, udp, http or https"
	case len(p.Beside) > 1 && !before.IsValid():
		a.Message = text("keepalived forwards nothing: the virtual IPs may be on machines of " + strings.Join(p.Beside, " and of ") + ": deploy a keepalived of its own for each")
	default:
		a.Address = text(at.String())
		return a
	}
	a.Error = text("unsupported")
	return a
}

// grantedBy is the address that an answer grants; invalid for none.
func grantedBy(told string) netip.Addr {
	var a answer
	if json.Unmarshal([]byte(told), &a) != nil || a.Address == nil {
		return netip.Addr{}
	}
	at, _ := netip.ParseAddr(*a.Address)
	return at
}

// foreign tells that a backend is no machine that a virtual IP may be on.
func (p Provider) foreign(backend string) bool {
	a, err := netip.ParseAddr(backend)
	return err != nil || !slices.Contains(p.Machines, a)
}

func text(s string) *string { return &s }
