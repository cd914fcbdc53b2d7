package metrics

import (
	"strconv"
	"time"

	"keepalived-charm/internal/vrrp"
)

// Type is a metric's type.
type Type string

// The types.
const (
	Gauge   Type = "gauge"
	Counter Type = "counter"
	Buckets Type = "histogram"
)

// Label is a label with what its value is.
type Label struct{ Name, Meaning string }

// Family is one metric.
type Family struct {
	Name string
	Type Type
	// Help is one line.
	Help   string
	Labels []Label
	// Hook tells that hooks know it: it is as old as the last hook, and missing until one
	// has run since the machine's boot.
	Hook    bool
	collect func(Snapshot, *writer)
}

// The labels. iname, intf, vrid and ip_address are those of the exporters for keepalived.
var (
	iname   = Label{"iname", "the VRRP instance in keepalived.conf"}
	intf    = Label{"intf", "the interface on which it advertises"}
	vrid    = Label{"vrid", "its virtual router ID"}
	address = Label{"ip_address", "a virtual IP"}
	vip     = Label{"vip", "a virtual IP"}
	peer    = Label{"peer", "the address of another machine, 8 for an instance at most"}
	kind    = Label{"type", "the option `healthcheck_type`"}
)

// Families lists all metrics in the order in which they are written.
func Families() []Family {
	return []Family{
		{"keepalived_up", Gauge, "Whether keepalived runs.", nil, false,
			func(s Snapshot, w *writer) { w.yes(s.Up) }},
		{"keepalived_vip_present", Gauge, "Whether the kernel has the virtual IP.", []Label{vip, iname}, false,
			func(s Snapshot, w *writer) {
				for _, i := range s.Instances {
					for _, a := range i.Addresses {
						w.yes(a.Present, a.String(), i.Name)
					}
				}
			}},
		{"keepalived_vrrp_role", Gauge, "The unit's part in the VRRP instance: 1 for one of the roles.",
			[]Label{iname, intf, vrid, {"role", "`holder`, `standby`, `aside` (takes no part, as an operator or the group has it) or `fault` (it cannot take part: keepalived does not run, an interface is down, or its check fails with `all_unhealthy=drop`)"}}, false,
			func(s Snapshot, w *writer) {
				for _, i := range s.Instances {
					for _, r := range Roles() {
						w.yes(i.Role == r, append(i.labels(), string(r))...)
					}
				}
			}},
		{"keepalived_vrrp_state", Gauge, "The same as a number: 1 standby (BACKUP), 2 holder (MASTER), 3 aside or fault (FAULT).",
			[]Label{iname, intf, vrid, address}, false,
			func(s Snapshot, w *writer) {
				for _, i := range s.Instances {
					for _, a := range i.Addresses {
						w.sample(i.Role.state(), append(i.labels(), a.String())...)
					}
				}
			}},
		{"keepalived_vrrp_priority", Gauge, "The priority with which the unit takes part, 1-254; 0 while it takes none.", []Label{iname, intf, vrid}, true,
			func(s Snapshot, w *writer) {
				for _, i := range s.Instances {
					if base, known := s.Hook.base(i.Name); known {
						w.sample(i.priority(base), i.labels()...)
					}
				}
			}},
		{"keepalived_become_master_total", Counter, "How often the unit became holder.", []Label{iname, intf, vrid, causes("", Gains())}, false,
			func(s Snapshot, w *writer) { moves(s, w, Gains(), func(m Moves) map[Cause]uint64 { return m.Gained }) }},
		{"keepalived_release_master_total", Counter, "How often the unit ceased to be holder.", []Label{iname, intf, vrid, causes("", Losses())}, false,
			func(s Snapshot, w *writer) { moves(s, w, Losses(), func(m Moves) map[Cause]uint64 { return m.Lost }) }},
		{"keepalived_last_move_timestamp_seconds", Gauge, "When the unit became holder or ceased to be; 0: not since the health checker started.", []Label{iname}, false,
			func(s Snapshot, w *writer) {
				for _, i := range s.Instances {
					w.sample(unix(i.Last), i.Name)
				}
			}},
		{"keepalived_vrrp_holder_seen", Gauge, "Whether the unit holds, or hears a unit that does.", []Label{iname}, false,
			func(s Snapshot, w *writer) {
				for _, i := range s.Instances {
					w.yes(i.HolderSeen, i.Name)
				}
			}},
		{"keepalived_advertisement_last_heard_timestamp_seconds", Gauge, "When the last advertisement of a holder came from another machine.", []Label{iname, peer}, false,
			func(s Snapshot, w *writer) {
				heard(s, w, func(h Heard) float64 { return unix(h.Last) })
			}},
		{"keepalived_advertised_priority", Gauge, "The priority in it.", []Label{iname, peer}, false,
			func(s Snapshot, w *writer) {
				heard(s, w, func(h Heard) float64 { return float64(h.Priority) })
			}},
		{"keepalived_healthcheck_verdict", Gauge, "What the checks say of the service, several in a row (`healthcheck_fall`, `healthcheck_rise`): 1 for one of the verdicts.",
			[]Label{{"verdict", "`healthy`, `sick` or `unknown`"}}, false,
			func(s Snapshot, w *writer) {
				for _, v := range Verdicts() {
					w.yes(s.Check.Verdict == v, v)
				}
			}},
		{"keepalived_healthcheck_passing", Gauge, "Whether the last check passed.", []Label{kind}, false,
			func(s Snapshot, w *writer) { w.yes(s.Check.Passes, s.Check.Type) }},
		{"keepalived_healthcheck_consecutive_failures", Gauge, "How many checks in a row failed.", nil, false,
			func(s Snapshot, w *writer) { w.sample(float64(s.Check.Failures)) }},
		{"keepalived_healthchecks_total", Counter, "How many checks were done.", []Label{kind, {"result", "`pass` or `fail`"}}, false,
			func(s Snapshot, w *writer) {
				w.sample(float64(s.Check.Passed), s.Check.Type, "pass")
				w.sample(float64(s.Check.Failed), s.Check.Type, "fail")
			}},
		{"keepalived_healthcheck_duration_seconds", Buckets, "How long they took.", []Label{kind}, false,
			func(s Snapshot, w *writer) { w.histogram(s.Check.Duration, s.Check.Type) }},
		{"keepalived_held_back", Gauge, "Whether the service failed and works again, but not for long: the unit takes over from sick units only.", nil, false,
			func(s Snapshot, w *writer) { w.yes(s.HeldBack) }},
		{"keepalived_paused", Gauge, "Whether an operator paused the unit.", nil, false,
			func(s Snapshot, w *writer) { w.yes(s.Paused) }},
		{"keepalived_agreement_moving", Gauge, "Whether the units are changing together what all of them must agree on.", nil, true,
			func(s Snapshot, w *writer) { s.Hook.yes(w, func(h Hook) bool { return h.Moving }) }},
		{"keepalived_agreement_waiting", Gauge, "Whether the unit waits for another one for that, or before it takes part.", nil, true,
			func(s Snapshot, w *writer) { s.Hook.yes(w, func(h Hook) bool { return h.Waiting }) }},
		{"keepalived_findings", Gauge, "What the last hook found wrong, by kind.", []Label{{"kind", "what is wrong, see below"}}, true,
			func(s Snapshot, w *writer) {
				if s.Hook != nil {
					for _, f := range Findings() {
						w.sample(float64(s.Hook.Findings[f]), string(f))
					}
				}
			}},
		{"keepalived_restarts_total", Counter, "How often keepalived began anew while the health checker ran.", nil, false,
			func(s Snapshot, w *writer) { w.sample(float64(s.Restarts)) }},
		{"keepalived_reloads_total", Counter, "How often hooks of this application had keepalived read its configuration since the machine's boot.", nil, true,
			func(s Snapshot, w *writer) {
				if s.Hook != nil {
					w.sample(float64(s.Hook.Reloads))
				}
			}},
		{"keepalived_config_timestamp_seconds", Gauge, "When the application's part of keepalived's configuration was written last.", nil, true,
			func(s Snapshot, w *writer) {
				if s.Hook != nil && !s.Hook.Configured.IsZero() {
					w.sample(unix(s.Hook.Configured))
				}
			}},
		{"keepalived_charm_build_info", Gauge, "1, with the charm's version.", []Label{{"version", "the charm's version"}}, false,
			func(s Snapshot, w *writer) { w.sample(1, s.Version) }},
		{"keepalived_daemon_info", Gauge, "1, with what keepalived is and talks.",
			[]Label{{"version", "keepalived's version"}, {"vrrp_version", "`2` or `3`"}, {"mode", "`multicast` or `unicast`"}}, true,
			func(s Snapshot, w *writer) {
				if h := s.Hook; h != nil && h.VRRPVersion > 0 {
					w.sample(1, h.Keepalived, strconv.Itoa(h.VRRPVersion), string(h.Mode))
				}
			}},
	}
}

// Verdicts lists the verdicts of the health check.
func Verdicts() []string { return []string{"healthy", "sick", "unknown"} }

func (i Instance) labels() []string { return []string{i.Name, i.Link, strconv.Itoa(int(i.ID))} }

func (i Instance) priority(base vrrp.Priority) float64 {
	if i.Role == Aside || i.Role == Fault || i.Adjustment <= vrrp.StepAside {
		return 0
	}
	return float64(vrrp.Effective(base, i.Adjustment))
}

func (h *Hook) base(instance string) (vrrp.Priority, bool) {
	if h == nil {
		return 0, false
	}
	base, known := h.Bases[instance]
	return base, known
}

func (h *Hook) yes(w *writer, is func(Hook) bool) {
	if h != nil {
		w.yes(is(*h))
	}
}

// moves writes all causes: a counter that first shows as 1 has not increased for Prometheus.
func moves(s Snapshot, w *writer, causes []Cause, counts func(Moves) map[Cause]uint64) {
	for _, i := range s.Instances {
		for _, c := range causes {
			w.sample(float64(counts(i.Moves)[c]), append(i.labels(), string(c))...)
		}
	}
}

func heard(s Snapshot, w *writer, value func(Heard) float64) {
	for _, i := range s.Instances {
		for _, h := range i.Heard {
			if !h.Last.IsZero() {
				w.sample(value(h), i.Name, h.Peer.String())
			}
		}
	}
}

// unix is a time in seconds since 1970, 0 for none.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
