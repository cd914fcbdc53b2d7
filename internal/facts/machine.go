package facts

import (
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/vrrp"
)

// Follows tells whether an instance has the priority that its track file makes. A
// keepalived that has no inotify instance left never reads the file: it runs on its
// base priority, whatever the health checker or an operator says.
func (m Machine) Follows(i keepalived.InstanceState) bool {
	track, written := m.Tracks[i.Name]
	switch {
	case !written || i.State == keepalived.Init:
		return true // it has just started, or there is nothing to follow
	case track <= vrrp.StepAside:
		return i.State == keepalived.Fault
	case i.State == keepalived.Fault:
		return true // for another reason, and its priority is as it was before
	}
	return i.Effective == vrrp.Effective(i.Base, track)
}

// Ignores tells that the daemon does not follow some track file of an application. One that
// had no inotify watch left reads a track file as it starts or reloads, and never again.
func (m Machine) Ignores(l layout.Layout) bool { return m.Unwatched || m.differs(l) }

// ReloadHelps tells that it follows them once it has reloaded, or at least knows what they say
// now.
func (m Machine) ReloadHelps(l layout.Layout) bool {
	switch m.Scarce.Kind {
	case InotifyInstances:
		return false
	case InotifyWatches:
		return m.differs(l)
	}
	return m.Ignores(l)
}

// differs tells that some instance has another priority than its track file makes.
func (m Machine) differs(l layout.Layout) bool {
	for _, i := range m.Instances {
		if l.Owns(i.Name) && !m.Follows(i) {
			return true
		}
	}
	return false
}

// index finds addresses and instances of a machine in one step, of which there may be
// hundreds each; it holds while neither changes.
type index struct {
	on      map[netip.Addr][]site
	reports map[string]int
}

// site is an interface that has an address; others tells that it is others' there.
type site struct {
	name   string
	others bool
}

// Indexed returns the machine with an index.
func (m Machine) Indexed() Machine {
	x := &index{map[netip.Addr][]site{}, map[string]int{}}
	for _, i := range m.Interfaces {
		s := site{i.Name, m.others(i)}
		for _, p := range i.Addresses {
			x.on[p.Addr()] = append(x.on[p.Addr()], s)
		}
	}
	for n, i := range m.Instances {
		if _, twice := x.reports[i.Name]; !twice {
			x.reports[i.Name] = n
		}
	}
	m.index = x
	return m
}

// Sites are the interfaces that have an address.
func (m Machine) Sites(a netip.Addr) []site {
	if m.index != nil {
		return m.index.on[a]
	}
	var on []site
	for _, i := range m.Interfaces {
		if slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
			on = append(on, site{i.Name, m.others(i)})
		}
	}
	return on
}

// Report is what the daemon says of an instance; false if nothing.
func (m Machine) Report(instance string) (keepalived.InstanceState, bool) {
	if m.index != nil {
		if n, reported := m.index.reports[instance]; reported {
			return m.Instances[n], true
		}
		return keepalived.InstanceState{}, false
	}
	for _, i := range m.Instances {
		if i.Name == instance {
			return i, true
		}
	}
	return keepalived.InstanceState{}, false
}

// ForeignText is a keepalived.conf from before the charm: kept aside already, or
// still in place. With a fragment of the charm there, keepalived.conf is the
// charm's, whoever wrote into it.
func (m Machine) ForeignText() (string, bool) {
	return m.foreign(layout.MainFile, layout.ForeignFile, keepalived.IsPython)
}

// PythonServes tells that keepalived.conf is that of another application, of the Python charm.
func (m Machine) PythonServes() bool {
	return m.PythonUnit != (juju.Unit{}) && keepalived.IsPython(m.Files[layout.MainFile])
}

// ForeignSysctl is a file of kernel settings from before the charm, in the same way.
func (m Machine) ForeignSysctl() (string, bool) {
	return m.foreign(layout.SysctlFile, layout.SysctlForeign, IsPythonSysctl)
}

func (m Machine) foreign(path, aside string, python func(string) bool) (string, bool) {
	if text, ok := m.Files[aside]; ok {
		return text, true
	}
	for path := range m.Files {
		if strings.HasPrefix(path, layout.FragmentDir+"/") {
			return "", false
		}
	}
	text := m.Files[path]
	return text, len(m.Neighbours) == 0 && isForeign(text, python)
}

// IsFragment tells by its first line whether a file is an application's fragment.
func IsFragment(application, text string) bool {
	return strings.HasPrefix(text, "# Written by the Juju charm keepalived for application "+application+".\n")
}

// Runs returns the parameters that this unit has applied, for the Python charm too;
// false when it does not serve that virtual router yet.
func (m Machine) Runs(number int) (vrrp.Parameters, bool) {
	r, runs := m.Applied.Routers[number]
	return r.Parameters, runs
}
