package reconcile

import (
	"net/netip"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
	"keepalived-charm/templates"
)

func keepalivedAddresses(text string) []netip.Addr { return keepalived.VirtualAddresses(text) }

// render fills Files with everything a serving unit needs.
func (d Desired) render(o Observed) error {
	l := d.Layout
	instance, err := d.instance(o.Machine)
	if err != nil {
		return err
	}
	files := map[string]func() (string, error){
		MainFile: keepalived.Main{Fragments: FragmentDir}.Render,
		l.Fragment(): keepalived.Fragment{Application: l.Application,
			Instances: []keepalived.VRRPInstance{instance}}.Render,
		l.CheckerConfig(): func() (string, error) {
			text, err := d.checker(instance).Marshal()
			return string(text), err
		},
		SysctlFile:      func() (string, error) { return templates.Render("sysctl.conf", nil) },
		l.DropIn():      func() (string, error) { return templates.Render("drop-in.conf", services{l}) },
		l.CheckerUnit(): func() (string, error) { return templates.Render("checker.service", services{l}) },
	}
	for path, text := range files {
		if d.Files[path], err = text(); err != nil {
			return err
		}
	}
	if kept, ok := o.Machine.Files[ForeignFile]; ok {
		d.Files[ForeignFile] = kept
	} else if main := o.Machine.Files[MainFile]; foreign(main) {
		d.Files[ForeignFile] = main
	}
	return nil
}

// services is what the systemd templates print.
type services struct{ Layout }

// instance is the application's VRRP instance on this unit.
func (d Desired) instance(m Machine) (keepalived.VRRPInstance, error) {
	first := d.options.VirtualIPs[0]
	iface, err := d.interfaceFor(m, first.Addr())
	if err != nil {
		return keepalived.VRRPInstance{}, err
	}
	i := keepalived.VRRPInstance{
		Name:            d.Layout.Instance(),
		Interface:       iface,
		Version:         3,
		VirtualRouterID: d.options.VirtualRouterID,
		Priority:        vrrp.Base(d.rank),
		AdvertInterval:  d.options.AdvertInterval,
		TrackFile:       d.Layout.TrackFile(),
		Anchor:          onLink(m, iface, first.Prefix),
	}
	for _, v := range d.options.VirtualIPs[1:] {
		i.Others = append(i.Others, onLink(m, iface, v.Prefix))
	}
	return i, nil
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
func (d Desired) checker(i keepalived.VRRPInstance) checker.Config {
	addresses := []netip.Addr{i.Anchor.Addr()}
	for _, p := range i.Others {
		addresses = append(addresses, p.Addr())
	}
	check := checker.Check{Type: checker.CheckNone}
	if o := d.options.Check; o.Type != string(checker.CheckNone) {
		check = checker.Check{
			Type:     checker.CheckType(o.Type),
			Target:   o.Target,
			Interval: checker.Duration(o.Interval),
			Timeout:  checker.Duration(o.Timeout),
			Fall:     o.Fall,
			Rise:     o.Rise,
		}
	}
	return checker.Config{
		Application: d.Layout.Application,
		Instances: []checker.Instance{{
			Name: i.Name, TrackFile: i.TrackFile, Interface: i.Interface, Addresses: addresses,
		}},
		Policy:     d.options.Policy,
		Peers:      len(d.peers) > 0,
		StatusFile: d.Layout.StatusFile(),
		Check:      check,
	}
}
