package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
)

// refuseClash refuses what somebody else on this machine uses already: another
// application of the charm, or the configuration from before the charm. The
// second one yields; the first goes on undisturbed.
func (d Desired) refuseClash(o Observed, ours keepalived.VRRPInstance) error {
	for _, other := range o.Machine.Others {
		owner := other.Owner
		for _, c := range other.Claims {
			if c.Interface == ours.Interface && c.VirtualRouterID == ours.VirtualRouterID && c.Six == ours.Anchor.Is6() {
				value, used := fmt.Sprint(ours.VirtualRouterID), "it"
				if first := d.options.VirtualRouterID; first != ours.VirtualRouterID && (d.Spread() || d.routers[0].Wanted.Spread) {
					value, used = fmt.Sprint(first), value // the first of several
				}
				return &config.Invalid{Option: "router_id", Value: value,
					Must: "another one, " + owner + " uses " + used + " on interface " + c.Interface}
			}
			for _, a := range ours.Addresses {
				if slices.Contains(c.Addresses, a.Addr()) {
					return &config.Invalid{Option: "virtual_ip", Value: o.Options.Written("virtual_ip"),
						Must: "a free address, " + a.Addr().String() + " belongs to " + owner}
				}
			}
		}
	}
	return nil
}

// refuseWanted refuses what this unit could not run after a change that all units make
// together, before it announces the change or stands aside for it.
func (d Desired) refuseWanted(o Observed) error {
	for _, r := range d.routers {
		ours := keepalived.VRRPInstance{Interface: d.speaks, Parameters: r.Wanted}
		first := slices.IndexFunc(d.options.VirtualIPs, func(v config.VirtualIP) bool { return v.Addr().Is6() == ours.Anchor.Is6() })
		if name := ours.Parameters.Interface; name != "" {
			ours.Interface = name
		} else if first >= 0 {
			var err error
			if ours.Interface, err = d.interfaceFor(o, d.options.VirtualIPs[first].Addr()); err != nil {
				return err
			}
		}
		for _, ours.VirtualRouterID = range routerIDs(r.Wanted, r.addresses()) {
			if err := d.refuseClash(o, ours); err != nil {
				return err
			}
		}
	}
	return nil
}

// foreignText is a keepalived.conf from before the charm: kept aside already, or
// still in place. With a fragment of the charm there, keepalived.conf is the
// charm's, whoever wrote into it.
func (m Machine) foreignText() (string, bool) {
	if text, ok := m.Files[ForeignFile]; ok {
		return text, true
	}
	for path := range m.Files {
		if strings.HasPrefix(path, FragmentDir+"/") {
			return "", false
		}
	}
	text := m.Files[MainFile]
	return text, len(m.Neighbours) == 0 && facts.Foreign(text)
}

// IsFragment tells by its first line whether a file is an application's fragment.
func IsFragment(application, text string) bool {
	return strings.HasPrefix(text, "# Written by the Juju charm keepalived for application "+application+".\n")
}
