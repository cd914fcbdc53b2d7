package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Snapshot is the model at one moment; every list is sorted by name or id.
type Snapshot struct {
	Model        string
	Applications []ApplicationStatus
	Units        []UnitStatus
	Machines     []MachineStatus
	Relations    []RelationStatus
}

// ApplicationStatus is one application of a Snapshot.
type ApplicationStatus struct {
	Name     string
	Charm    string
	Revision int
	Life     string
	Leader   string // unit name, or empty
	Status   Status // set by the leader's status-set --application; empty before
}

// UnitStatus is one unit of a Snapshot.
type UnitStatus struct {
	Name            string
	Application     string
	Machine         string
	Principal       string // unit name; empty for a principal unit
	Subordinates    []string
	Life            string // alive, dying or dead
	Leader          bool
	ModelOnly       bool // has no agent
	Connected       bool // its agent is connected
	CharmRevision   int  // installed by the agent; -1 before
	Agent           Status
	Workload        Status
	WorkloadVersion string
	Ports           []string // as in 443/tcp
	Address         string
}

// MachineStatus is one machine of a Snapshot.
type MachineStatus struct {
	ID        string
	Addresses []Address
	Down      bool
}

// RelationStatus is one relation of a Snapshot.
type RelationStatus struct {
	ID        int
	Endpoints []string // application:endpoint, one for peers
	Interface string
	Scope     Scope
	Life      string
	Members   []string // units in scope
	UnitData  map[string]map[string]string
	AppData   map[string]map[string]string
}

// Status returns the model as it is now.
func (c *Controller) Status() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshotLocked()
}

func (c *Controller) snapshotLocked() Snapshot {
	s := Snapshot{Model: c.cfg.ModelName}
	for _, name := range sortedKeys(c.apps) {
		a := c.apps[name]
		s.Applications = append(s.Applications, ApplicationStatus{
			Name: name, Charm: a.charm.Meta.Name, Revision: a.charm.Revision,
			Life: string(a.life), Leader: c.leaderLocked(a), Status: a.status,
		})
	}
	for _, name := range sortedKeys(c.units) {
		s.Units = append(s.Units, c.unitStatusLocked(c.units[name]))
	}
	for _, id := range sortedKeys(c.machines) {
		m := c.machines[id]
		s.Machines = append(s.Machines, MachineStatus{ID: id, Addresses: slices.Clone(m.addresses), Down: m.down})
	}
	for _, id := range sortedKeys(c.relations) {
		s.Relations = append(s.Relations, relationStatusOf(c.relations[id]))
	}
	return s
}

func (c *Controller) unitStatusLocked(u *unit) UnitStatus {
	s := UnitStatus{
		Name: u.name, Application: u.app, Machine: u.machine, Principal: u.principal,
		Life: string(u.life), Leader: c.leaderLocked(c.apps[u.app]) == u.name, ModelOnly: !u.hasAgent,
		Connected: c.sessions[u.name] != nil, CharmRevision: -1,
		Agent: u.agent, Workload: u.workload, WorkloadVersion: u.workloadVersion,
		Address: c.firstAddress(u, ""),
	}
	if u.charm != nil {
		s.CharmRevision = u.charm.Revision
	}
	for _, sub := range c.subordinatesLocked(u) {
		s.Subordinates = append(s.Subordinates, sub.name)
	}
	for _, p := range u.ports {
		s.Ports = append(s.Ports, p.String())
	}
	slices.Sort(s.Ports)
	return s
}

func relationStatusOf(r *relation) RelationStatus {
	s := RelationStatus{
		ID: r.id, Interface: r.ends[0].Interface, Scope: r.scope, Life: string(r.life),
		Members:  sortedKeys(r.members),
		UnitData: map[string]map[string]string{}, AppData: map[string]map[string]string{},
	}
	for _, e := range r.ends {
		s.Endpoints = append(s.Endpoints, e.app+":"+e.Name)
	}
	for name, d := range r.data {
		s.UnitData[name] = maps.Clone(d.values)
	}
	for name, d := range r.appData {
		s.AppData[name] = maps.Clone(d.values)
	}
	return s
}

// Unit returns a unit of the snapshot by name.
func (s Snapshot) Unit(name string) (UnitStatus, bool) {
	i := slices.IndexFunc(s.Units, func(u UnitStatus) bool { return u.Name == name })
	if i < 0 {
		return UnitStatus{}, false
	}
	return s.Units[i], true
}

// String renders applications, units and relations in the manner of "juju status".
func (s Snapshot) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "App\tVersion\tStatus\tScale\tCharm\tRev")
	for _, a := range s.Applications {
		version, status, scale := s.sum(a)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\n", a.Name, version, status, scale, a.Charm, a.Revision)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "Unit\tWorkload\tAgent\tMachine\tAddress\tPorts\tMessage")
	for _, u := range s.Units {
		if u.Principal == "" {
			s.printUnit(w, u, "")
		}
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "Provider/peer\tRequirer\tInterface\tScope\tId")
	for _, r := range s.Relations {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", r.Endpoints[len(r.Endpoints)-1], r.Endpoints[0], r.Interface, r.Scope, r.ID)
	}
	_ = w.Flush() // writing to memory
	return b.String()
}

// severity orders workload statuses as Juju does for an application that set none
// itself: the first that a unit has counts.
var severity = []string{"error", "blocked", "maintenance", "waiting", "active", "terminated", "unknown"}

// sum returns an application's workload version, its status and how many units it
// has.
func (s Snapshot) sum(a ApplicationStatus) (version, status string, scale int) {
	worst := len(severity)
	for _, u := range s.Units {
		if u.Application != a.Name {
			continue
		}
		scale++
		if version == "" {
			version = u.WorkloadVersion
		}
		_, workload, _ := u.shown()
		if i := slices.Index(severity, workload); i >= 0 {
			worst = min(worst, i)
		}
	}
	switch {
	case a.Status.Status != "":
		status = a.Status.Status
	case worst < len(severity):
		status = severity[worst]
	}
	return version, status, scale
}

// shown is what Juju's status command makes of a unit's statuses.
func (u UnitStatus) shown() (agent, workload, message string) {
	switch {
	case !u.ModelOnly && !u.Connected && u.Agent.Status != "allocating":
		return "lost", "unknown", "agent lost, see journal of the machine"
	case u.Agent.Status == "error": // Juju shows a hook error as the workload's
		return "idle", "error", u.Agent.Message
	}
	return u.Agent.Status, u.Workload.Status, u.Workload.Message
}

func (s Snapshot) printUnit(w *tabwriter.Writer, u UnitStatus, indent string) {
	name := indent + u.Name
	if u.Leader {
		name += "*"
	}
	agent, workload, message := u.shown()
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
		name, workload, agent, u.Machine, u.Address, strings.Join(u.Ports, " "), message)
	for _, sub := range u.Subordinates {
		if su, ok := s.Unit(sub); ok {
			s.printUnit(w, su, indent+"  ")
		}
	}
}
