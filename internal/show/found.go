package show

import (
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/vrrp"
)

// Found is what a hook tells for the metrics once its plan was carried out; nothing while the
// unit serves nothing.
func Found(d decide.Desired, o facts.Observed) metrics.Hook {
	if d.Mode != decide.Serving {
		return metrics.Hook{}
	}
	m := o.Machine.Indexed()
	h := about(o)
	found := func(f metrics.Finding, many int) {
		if many > 0 {
			h.Findings[f] += many
		}
	}
	yes := func(f metrics.Finding, is bool) {
		if is {
			h.Findings[f] = 1
		}
	}
	yes(metrics.OptionRefused, o.Refusal != nil || d.Finding() != nil)
	kinds := map[conflict.Kind]metrics.Finding{
		conflict.RouterTaken: metrics.RouterTaken, conflict.RouterMaybeTaken: metrics.RouterTaken,
		conflict.AddressTaken: metrics.AddressTaken, conflict.AddressMaybeTaken: metrics.AddressTaken,
		conflict.HolderUnheard: metrics.HolderUnheard, conflict.TwoHolders: metrics.TwoHolders,
	}
	for _, f := range d.Found {
		found(kinds[f.Kind], 1)
	}
	found(metrics.OwnerSetting, len(d.Intruded))
	found(metrics.PacketFilter, len(d.Dropped(m)))
	yes(metrics.KernelSetting, hampered(d, m) != "")
	yes(metrics.CheckIgnored, m.Ignores(d.Layout))
	yes(metrics.NoPeerRelation, !d.Related)
	yes(metrics.ServiceMasked, m.Masked)
	for _, r := range d.Routers {
		missing, stray := d.Disagreement(m, r)
		found(metrics.AddressLost, len(missing))
		found(metrics.AddressStray, len(stray))
		h.Moving = h.Moving || r.Moving
		h.Waiting = h.Waiting || len(r.Waits) > 0 && (r.Moving || r.Aside != group.TakesPart)
	}
	return h
}

// Refused is what a hook tells that could decide nothing.
func Refused(o facts.Observed) metrics.Hook {
	if !o.Machine.Applied.Ours() {
		return metrics.Hook{}
	}
	h := about(o)
	h.Findings[metrics.OptionRefused] = 1
	return h
}

// about is what the machine runs.
func about(o facts.Observed) metrics.Hook {
	h := metrics.Hook{Version: metrics.HookVersion, Findings: map[metrics.Finding]int{}, Bases: map[string]vrrp.Priority{}, Keepalived: o.Machine.Version}
	if runs, serves := o.Machine.Runs(0); serves {
		h.VRRPVersion, h.Mode = runs.Version, runs.Mode
	}
	for _, i := range o.Machine.Instances {
		if o.Layout().Owns(i.Name) {
			h.Bases[i.Name] = i.Base
		}
	}
	return h
}
