package decide

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/cos"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
)

// manyPorts is how many ports are tried for the metrics, from the option's on: 9165-9180 by
// default.
const manyPorts = 16

// Ports are the ports that a hook has to try for the metrics; none while the health checker
// serves at one that will do: a port that changes is a gap in what Prometheus sees.
func Ports(o facts.Observed) []int {
	first := o.Options.Options.MetricsPort
	if first == 0 || o.Options.Fault != nil || !NeedsModel(o) {
		return nil
	}
	ports := portsFrom(first)
	m := o.Machine
	// One that has just started has not told yet.
	serves := m.Checker != nil && (m.Check.Metrics == m.Checker.Metrics.Port || m.Check.Silent && m.CheckerActive)
	if serves && slices.Contains(ports, m.Checker.Metrics.Port) {
		return nil
	}
	return ports
}

// portsFrom are the ports that are tried where an option names the first.
func portsFrom(first int) []int {
	var ports []int
	for port := first; port < first+manyPorts && port <= 65535; port++ {
		ports = append(ports, port)
	}
	return ports
}

// NoPort tells that others have all ports, first to last, at which the unit may serve metrics.
func (d self) NoPort(m facts.Machine) (first, last int, none bool) {
	if d.Options.MetricsPort == 0 {
		return 0, 0, false
	}
	ports := portsFrom(d.Options.MetricsPort)
	free := slices.ContainsFunc(ports, func(port int) bool { return !slices.Contains(m.Taken, port) })
	return ports[0], ports[len(ports)-1], !free
}

// metrics says where metrics are served: where they are, else at the first free port. Where
// all are taken the health checker goes on to try.
func (d placement) metrics(o facts.Observed) healthcheck.Metrics {
	first, port := d.Options.MetricsPort, 0
	if first == 0 {
		return healthcheck.Metrics{}
	}
	had := 0
	if o.Machine.Checker != nil {
		had = o.Machine.Checker.Metrics.Port
	}
	switch free := slices.DeleteFunc(Ports(o), func(p int) bool { return slices.Contains(o.Machine.Taken, p) }); {
	case len(free) > 0 && !slices.Contains(free, had):
		port = free[0]
	case had >= first && had < first+manyPorts:
		port = had
	default:
		port = first
	}
	return healthcheck.Metrics{Port: port, Link: d.Speaks, Hook: d.Layout.HookFile()}
}

// observed is what a collector on the machine is told; empty while no metrics are served: what
// it would find is somebody else's.
func (d Desired) observed(o facts.Observed) string {
	port := d.Watch.Metrics.Port
	if _, _, none := d.NoPort(o.Machine); none || port == 0 {
		return ""
	}
	return cos.Config(cos.Topology{Model: o.Event.Model, ModelUUID: o.Event.ModelUUID, Application: d.Layout.Application},
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
}
