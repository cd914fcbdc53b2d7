package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/keepalived"
)

// checker is the health checker's configuration.
func (d Desired) checker(parts []Desired, instances []keepalived.VRRPInstance) healthcheck.Config {
	check := d.options.Check.Check
	if d.options.Check.CA != "" {
		check.CA = d.Layout.CheckerCA()
	}
	policy := d.options.Policy
	policy.Mixed = d.agreement.Mixed()
	// Every router has its home.
	policy.Preempt = policy.Preempt || parts[0].spread
	c := healthcheck.Config{
		Application: d.Layout.Application,
		Policy:      policy,
		Peers:       len(d.peers) > 0 || d.agreement.Planned > 1,
		StatusFile:  d.Layout.StatusFile(),
		Check:       check,
		History:     d.Layout.History(),
		Links:       d.interfaces,
	}
	if d.options.Notify {
		c.News = d.Layout.News()
	}
	if c.Peers && !d.paused {
		c.Booted = d.Layout.Booted()
	}
	for n, i := range instances {
		c.Instances = append(c.Instances, parts[n].checked(i, c.Booted != ""))
	}
	return c
}

// checked is a VRRP instance as the health checker knows it.
func (d Desired) checked(i keepalived.VRRPInstance, booted bool) healthcheck.Instance {
	// The anchor tells who holds; the others are what a crashed daemon may leave.
	h := healthcheck.Instance{Name: i.Name, TrackFile: i.TrackFile, VirtualRouterID: i.VirtualRouterID, Interface: "lo", Addresses: []netip.Addr{i.Anchor}}
	for _, a := range i.Addresses {
		if a.Addr() == i.Anchor {
			h.Interface = a.Interface
		} else {
			h.Addresses = append(h.Addresses, a.Addr())
		}
	}
	if h.Aside = string(d.agreement.Aside); d.paused {
		h.Aside = string(group.Paused) // even when nobody answers: no Watch
		return h
	}
	if vips := d.addresses(); len(vips) > 0 && (h.Aside != "" || booted) {
		h.Watch = netip.AddrPortFrom(vips[0], uint16(d.options.Port)).String()
	}
	return h
}

// silences tells whether this unit begins, and whether it ends, to stand aside in some
// router. between is the health checker's configuration with which it has begun and not
// ended.
func (d Desired) silences(m Machine) (begins, ends bool, between File) {
	path := d.Layout.CheckerConfig()
	was, err := healthcheck.Parse([]byte(m.Files[path]))
	if err != nil {
		return d.silent(), false, between // it served nothing
	}
	wanted, err := healthcheck.Parse([]byte(d.Files[path]))
	if err != nil {
		return false, false, between
	}
	for _, now := range wanted.Instances {
		n := slices.IndexFunc(was.Instances, func(i healthcheck.Instance) bool { return i.Name == now.Name })
		switch {
		case n < 0:
			begins = begins || now.Aside != ""
		case now.Aside != "" && was.Instances[n].Aside == "":
			begins = true
			was.Instances[n].Aside, was.Instances[n].Watch = now.Aside, now.Watch
		case now.Aside == "" && was.Instances[n].Aside != "":
			ends = true
		}
	}
	text, err := was.Marshal()
	return begins, ends && err == nil, File{Path: path, Content: string(text)}
}

// silent tells that this unit stands aside in some router.
func (d Desired) silent() bool {
	return slices.ContainsFunc(d.parts(), func(p Desired) bool { return p.agreement.Aside != "" })
}
