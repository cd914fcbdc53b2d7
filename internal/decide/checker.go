package decide

import (
	"net/netip"
	"slices"
	"time"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// checker is the health checker's configuration.
func (d placement) checker(o facts.Observed) healthcheck.Config {
	one := d.Routers[0]
	check := d.Options.Check.Check
	if d.Options.Check.CA != "" {
		check.CA = d.Layout.CheckerCA()
	}
	policy := d.Options.Policy
	policy.Mixed = one.Mixed()
	// Every router has its home.
	policy.Preempt = policy.Preempt || d.Spread
	c := healthcheck.Config{
		Application: d.Layout.Application,
		Policy:      policy,
		// A unit that departs knows of no other any more, which are there all the same.
		Peers:      len(d.Peers) > 0 || one.Planned > 1 || one.State == group.Departing,
		StatusFile: d.Layout.StatusFile(),
		Check:      check,
		History:    d.Layout.History(),
		Links:      d.Links,
		Deserted:   d.deserted(o, one),
		Metrics:    d.metrics(o),
	}
	if d.Speaks != "" && !slices.Contains(c.Links, d.Speaks) {
		c.Links = append(slices.Clone(c.Links), d.Speaks)
	}
	if d.Options.Notify {
		c.News = d.Layout.News()
	}
	if c.Peers && !d.Paused && d.AnyRouter(func(r Router) bool { return len(r.VirtualIPs) > 0 }) {
		c.Booted = d.Layout.Booted()
	}
	for _, r := range d.Routers {
		c.Instances = append(c.Instances, d.checked(r, c.Booted != ""))
		if runs := healthcheck.Duration(r.Run.Interval); c.AdvertInterval == 0 || runs < c.AdvertInterval {
			c.AdvertInterval = runs
		}
	}
	return c
}

// checked is a VRRP instance as the health checker knows it.
func (d placement) checked(r Router, booted bool) healthcheck.Instance {
	i := r.Instance
	// The anchor tells who holds; the others are what a crashed daemon may leave.
	h := healthcheck.Instance{Name: i.Name, TrackFile: i.TrackFile, VirtualRouterID: i.VirtualRouterID, Version: i.Version, Unicast: i.Mode == vrrp.Unicast, Interface: "lo", Addresses: []netip.Addr{i.Anchor}}
	if i.Version == 2 {
		h.Auth = vrrp.Fingerprint(i.Password)
	}
	for _, a := range i.Addresses {
		if a.Addr() == i.Anchor {
			h.Interface = a.Interface
		} else {
			h.Addresses = append(h.Addresses, a.Addr())
		}
	}
	if h.Aside = r.Aside.Text(); d.Paused {
		h.Aside = group.Paused.Text() // even when nobody answers: no Watch
		return h
	}
	if len(r.VirtualIPs) > 0 && (h.Aside != "" || booted) {
		h.Watch = netip.AddrPortFrom(r.VirtualIPs[0].Addr(), uint16(d.Options.Port)).String()
		h.WatchLink = d.chosenFor[r.VirtualIPs[0].Addr()]
		// RFC 9568 section 6.1: a failover takes three intervals and less than a fourth.
		if slow := healthcheck.Duration(4*max(r.Run.Interval, r.Wanted.Interval) + time.Second); slow > healthcheck.DefaultDeadAfter {
			h.DeadAfter = slow
		}
	}
	return h
}

// Obeys is the installed configuration of the health checker with an operator's pause or resume
// in it, false where it is obeyed already: what else was decided is not in it. Who changes what
// it runs is let in again by nothing but that.
func (d Desired) Obeys(m facts.Machine) (step.File, bool) {
	paused := group.Paused.Text()
	if m.Checker == nil || d.Mode != Serving || d.Paused == (m.Checker.Aside() == paused) || !d.Paused && d.changes(m) {
		return step.File{}, false
	}
	c := *m.Checker
	c.Instances = slices.Clone(c.Instances)
	c.Booted = d.Watch.Booted
	for n := range c.Instances {
		one := &c.Instances[n]
		one.Wait = healthcheck.Wait{Aside: paused}
		for _, i := range d.Watch.Instances {
			if i.Name == one.Name {
				one.Wait = i.Wait
			}
		}
	}
	text, err := c.Marshal()
	return step.File{Path: d.Layout.CheckerConfig(), Content: string(text)}, err == nil
}

// Confirms tells that a hook which leaves the unit's files as they are ends what keeps it out
// since a boot: it is to run what it runs, and to take part.
func (d agreement) Confirms(m facts.Machine) bool {
	return !m.Booted || d.Mode != Serving || !d.changes(m) && !d.silent()
}

// changes tells that the unit is to run something else than it does.
func (d agreement) changes(m facts.Machine) bool {
	return len(d.Routers) != len(m.Applied.Routers) || d.AnyRouter(func(r Router) bool {
		runs, known := m.Runs(r.Number)
		return !known || runs != r.Run
	})
}

// Silences tells whether this unit begins, and whether it ends, to stand aside in some
// router. between is the health checker's configuration with which it has begun and not
// ended.
func (d Desired) Silences(m facts.Machine) (begins, ends bool, between step.File) {
	path := d.Layout.CheckerConfig()
	if m.Checker == nil {
		return d.silent(), false, between // it served nothing
	}
	was := *m.Checker
	was.Instances = slices.Clone(was.Instances)
	before := map[string]int{}
	for n, i := range was.Instances {
		before[i.Name] = n
	}
	for _, now := range d.Watch.Instances {
		n, known := before[now.Name]
		switch {
		case !known:
			begins = begins || now.Aside != ""
		case now.Aside != "" && was.Instances[n].Aside == "":
			begins = true
			was.Instances[n].Wait = now.Wait
		case now.Aside == "" && was.Instances[n].Aside != "":
			ends = true
		}
	}
	if !begins || !ends {
		return begins, ends, between
	}
	text, err := was.Marshal()
	return begins, ends && err == nil, step.File{Path: path, Content: string(text)}
}

// silent tells that this unit stands aside in some router.
func (d agreement) silent() bool {
	return d.AnyRouter(func(r Router) bool { return r.Aside != group.TakesPart })
}
