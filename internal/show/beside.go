package show

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/status"
)

// misplaced tells of a virtual IP on an interface of another subnet although an
// interface of its own is there: who looks for it there is not told when it moves.
func misplaced(d decide.Desired, m facts.Machine) string {
	m.Interfaces = m.Subnets()
	for _, p := range d.Placed() {
		if m.OnLink(p.Interface, p.Addr()) {
			continue
		}
		for _, i := range m.Interfaces {
			if m.Suits(i) != facts.Unsuited && i.Name != p.Interface && m.OnLink(i.Name, p.Addr()) {
				return status.Say(status.WrongInterface, "ADDRESS", p.Addr().String(), "OTHER", i.Name, "INTERFACE", p.Interface).Message
			}
		}
	}
	return ""
}

// unplaced asks about a virtual IP in the subnet of no interface, unless the operator
// said how to place it. While its interface has lost its address nothing tells.
func unplaced(d decide.Desired, m facts.Machine) string {
	m.Interfaces = m.Without(facts.Observed{Machine: m}.Floating())
	said := map[netip.Addr]bool{}
	for _, v := range d.Options.VirtualIPs {
		said[v.Addr()] = v.Sized || v.Interface != "" || d.Options.Interface != ""
	}
	for _, p := range d.Placed() {
		found := slices.ContainsFunc(m.Interfaces, func(i facts.Interface) bool { return m.Suits(i) != facts.Unsuited && m.OnLink(i.Name, p.Addr()) })
		if !said[p.Addr()] && !found && !m.Bare(p.Interface) && m.LacksAddress(p.Interface, p.Addr().Is6()) == "" {
			return status.Say(status.NoSubnet, "ADDRESS", p.Addr().String()).Message
		}
	}
	return ""
}

// hampered tells of the kernel settings that have drifted, on a unit whose service may
// fail for it: one that is without a virtual IP cannot be bound to there.
func hampered(d decide.Desired, m facts.Machine) string {
	if m.Check.Known && m.Check.Healthy || len(decide.Held(m, d.Options.VirtualIPs)) == len(d.Addresses()) {
		return ""
	}
	for _, name := range m.Drifted {
		six := name == "net.ipv6.ip_nonlocal_bind"
		if strings.HasSuffix(name, ".ip_nonlocal_bind") && slices.ContainsFunc(d.Addresses(), func(a netip.Addr) bool { return a.Is6() == six }) {
			return status.Say(status.SettingLost, "SETTING", name).Message
		}
	}
	return ""
}

// besides tells what is wrong on this machine beside the unit's part in the election.
func besides(d decide.Desired, m facts.Machine) []string {
	var texts []string
	if filtered := d.Dropped(m); len(filtered) > 0 {
		texts = append(texts, status.Say(status.AlsoFiltered, "ADDRESSES", status.List(filtered), "COMMAND", unfilter(filtered[0])).Message)
	}
	for _, i := range d.Intruded {
		texts = append(texts, i.Say(status.AlsoOwnerSets))
	}
	texts = append(texts, owned(d), hampered(d, m))
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}

// late tells that nothing tells Juju of a move between two hooks.
func late(d decide.Desired, m facts.Machine) string {
	switch {
	case !d.Options.Notify || m.NotifierActive:
		return ""
	case m.Scarce.Limit == 0:
		return status.Say(status.LateStatus, "NOTIFIER", d.Layout.NotifierUnit()).Message
	case m.Ignores(d.Layout):
		return "" // the role tells what is lacking
	}
	return scarce(status.LateWatchless, m).Message
}

// unserved tells that a unit has no port for its metrics.
func unserved(d decide.Desired, m facts.Machine) string {
	first, last, none := d.NoPort(m)
	if !none {
		return ""
	}
	return status.Say(status.NoMetrics, "FIRST", fmt.Sprint(first), "LAST", fmt.Sprint(last)).Message
}

// unfilter is the command that ends what keepalived's packet filter drops.
func unfilter(a netip.Addr) string {
	if a.Is6() {
		return "nft flush set ip6 keepalived vips"
	}
	return "nft flush set ip keepalived vips"
}
