package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
	"keepalived-charm/templates"
)

func keepalivedAddresses(text string) []netip.Addr { return keepalived.VirtualAddresses(text) }

// render fills Files with everything a serving unit needs.
func (d *Desired) render(o Observed, own []netip.Addr) error {
	l := d.Layout
	instance, err := d.instance(o, own)
	if err != nil {
		return err
	}
	if err := d.refuseClash(o, instance); err != nil {
		return err
	}
	main := keepalived.Main{Fragments: FragmentDir}
	if text, ok := o.Machine.foreignText(); ok {
		main.Foreign = ForeignFile
		d.Files[ForeignFile] = text
	}
	if ca := d.options.Check.CA; ca != "" {
		d.Files[l.CheckerCA()] = ca
	}
	units := services{l, o.Event.Unit, d.options.Notify}
	if d.agreement.aside == "" && !d.agreement.holds {
		switch {
		case o.newcomer() && o.Planned > 1+len(d.peers):
			d.agreement.aside = untilKnown
		case d.deserted(o):
			d.agreement.aside = untilGone
		case d.unheard():
			d.agreement.aside = untilListed
		}
	}
	files := map[string]func() (string, error){
		MainFile: main.Render,
		l.Fragment(): keepalived.Fragment{Application: l.Application,
			Instances: []keepalived.VRRPInstance{instance}}.Render,
		l.CheckerConfig(): func() (string, error) {
			text, err := d.checker(instance).Marshal()
			return string(text), err
		},
		SysctlFile:      func() (string, error) { return templates.Render("sysctl.conf", nil) },
		l.DropIn():      func() (string, error) { return templates.Render("drop-in.conf", units) },
		l.CheckerUnit(): func() (string, error) { return templates.Render("checker.service", units) },
	}
	if d.options.Notify {
		names := l.NotifierFiles()
		files[names[0]] = func() (string, error) { return templates.Render("notifier.path", units) }
		files[names[1]] = func() (string, error) { return templates.Render("notifier.service", units) }
	}
	for path, text := range files {
		if d.Files[path], err = text(); err != nil {
			return err
		}
	}
	return nil
}

// services is what the systemd templates print.
type services struct {
	Layout
	Unit   juju.Unit
	Notify bool
}

// instance is the application's VRRP instance on this unit.
func (d *Desired) instance(o Observed, own []netip.Addr) (keepalived.VRRPInstance, error) {
	m := o.Machine
	i := keepalived.VRRPInstance{
		Name:       d.Layout.Instance(),
		Parameters: d.agreement.run,
		Password:   d.runningPassword(m),
		Priority:   d.base(),
		TrackFile:  d.Layout.TrackFile(),
		Also:       d.alsoAdvertised(m),
	}
	six := i.Anchor.Is6()
	for _, v := range d.options.VirtualIPs {
		name, err := d.interfaceFor(o, v.Addr())
		if err != nil {
			return keepalived.VRRPInstance{}, err
		}
		i.Addresses = append(i.Addresses, keepalived.VirtualAddress{Prefix: onLink(m, name, v.Prefix), Interface: name})
		if !slices.Contains(d.interfaces, name) {
			d.interfaces = append(d.interfaces, name)
		}
		// Advertisements travel where the first virtual IP of their family is.
		if i.Interface == "" && v.Addr().Is6() == six {
			i.Interface = name
		}
	}
	if i.Interface == "" {
		i.Interface = d.spoken(m)
	}
	d.address = primary(m, i.Interface, own, six)
	i.Peers = d.sendsTo()
	if len(i.Peers) == 0 {
		i.Peers = []netip.Addr{d.address} // nobody else yet; an empty list would mean multicast
	}
	if i.Mode == vrrp.Unicast && !d.address.IsValid() {
		return keepalived.VRRPInstance{}, &Blocked{"interface " + i.Interface +
			" has no address of the virtual IPs' family, which vrrp_mode=unicast needs"}
	}
	return i, nil
}

// spoken is the interface of the installed instance, else that of the first virtual
// IP: while the last virtual IP of a family goes, the others still speak that family.
func (d Desired) spoken(m Machine) string {
	for _, c := range keepalived.Claims(m.Files[d.Layout.Fragment()]) {
		if slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return i.Name == c.Interface }) {
			return c.Interface
		}
	}
	return d.interfaces[0]
}

// primary is the interface's own address of a family, the first in Juju's order.
func primary(m Machine, iface string, own []netip.Addr, six bool) netip.Addr {
	for _, a := range own {
		for _, i := range m.Interfaces {
			if i.Name == iface && i.has(a) && a.Is6() == six {
				return a
			}
		}
	}
	return netip.Addr{}
}

// onLink drops the prefix length of a virtual IP whose subnet the interface has
// already: a second address of the same subnet can become the primary one, and
// take the unit's own address along when it leaves.
func onLink(m Machine, iface string, v netip.Prefix) netip.Prefix {
	for _, i := range m.Interfaces {
		for _, p := range i.Addresses {
			if i.Name == iface && p.Addr() != v.Addr() && p.Bits() < v.Addr().BitLen() && p.Contains(v.Addr()) {
				return netip.PrefixFrom(v.Addr(), v.Addr().BitLen())
			}
		}
	}
	return v
}

// checker is the health checker's configuration for an instance.
func (d Desired) checker(i keepalived.VRRPInstance) healthcheck.Config {
	// The anchor tells who holds; the others are what a crashed daemon may leave.
	anchor := healthcheck.Instance{Name: i.Name, TrackFile: i.TrackFile, Interface: "lo", Addresses: []netip.Addr{i.Anchor}}
	for _, a := range i.Addresses {
		if a.Addr() == i.Anchor {
			anchor.Interface = a.Interface
		} else {
			anchor.Addresses = append(anchor.Addresses, a.Addr())
		}
	}
	check := d.options.Check.Check
	if d.options.Check.CA != "" {
		check.CA = d.Layout.CheckerCA()
	}
	policy := d.options.Policy
	policy.Mixed = d.agreement.mixed()
	c := healthcheck.Config{
		Application: d.Layout.Application,
		Instances:   []healthcheck.Instance{anchor},
		Policy:      policy,
		Peers:       len(d.peers) > 0 || d.agreement.planned > 1,
		StatusFile:  d.Layout.StatusFile(),
		Check:       check,
	}
	if d.options.Notify {
		c.News = d.Layout.News()
		c.Links = d.interfaces
	}
	i0 := &c.Instances[0]
	if i0.Aside = d.agreement.aside; d.paused {
		i0.Aside = untilResumed // even when nobody answers: no Watch
		return c
	}
	if c.Peers {
		c.Booted = d.Layout.Booted()
	}
	if i0.Aside != "" || c.Booted != "" {
		i0.Watch = netip.AddrPortFrom(d.options.VirtualIPs[0].Addr(), uint16(d.options.Port)).String()
	}
	return c
}
