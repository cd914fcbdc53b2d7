package reconcile

import (
	"errors"
	"maps"
	"slices"

	"github.com/juju/charm/v12/hooks"
)

// Plan lists the steps from what is to what is wanted, none when they agree. The
// order keeps two promises at every point where a hook may die: the daemon never
// reads a file that was not tested, and what it has not read yet is remembered.
func Plan(d Desired, o Observed) []Step {
	o.Machine = o.Machine.indexed()
	steps := o.beginsOrEnds()
	if _, taken := o.Owner(); taken {
		return steps
	}
	if d.Mode == Serving || d.Mode == Idle && o.Machine.Version == "" {
		steps = append(steps, serve(d, o)...)
	} else {
		steps = append(steps, withdraw(d, o)...)
	}
	if o.Machine.Leftovers {
		steps = append(steps, Step{Action: RemoveLeftovers})
	}
	return steps
}

// Settle lists what a unit still owes when something keeps it from deciding anything
// new: the last good configuration is carried through, and while it waits for others
// the package is installed.
func Settle(o Observed, why error) []Step { return append(o.beginsOrEnds(), settle(o, why)...) }

// beginsOrEnds notes the end of the unit before anything else is done for it, and takes
// the note back where Juju begins the unit anew.
func (o Observed) beginsOrEnds() []Step {
	switch ends := modeOf(o.Event.Hook) == Gone || o.Event.Hook == hooks.Stop; {
	case ends && !o.Machine.Stopped:
		return []Step{{Action: End}}
	case o.Machine.Stopped && !ends && !o.stopped():
		return []Step{{Action: Begin}}
	}
	return nil
}

func settle(o Observed, why error) []Step {
	var waiting *Waiting
	if o.Machine.Version == "" && errors.As(why, &waiting) {
		return []Step{{Action: InstallPackage}}
	}
	l := o.layout()
	if _, taken := o.Owner(); taken {
		return nil
	}
	var steps []Step
	if _, marked := o.Machine.Files[l.Upgrading()]; marked && !o.upgrades() {
		// Whatever is refused, the upgrade of the base is over.
		steps = append(steps, Step{Action: Write, Files: []File{{Path: l.Upgrading(), Remove: true}}})
	}
	for _, path := range []string{MainFile, l.Fragment(), l.CheckerUnit(), l.CheckerConfig()} {
		if _, written := o.Machine.Files[path]; !written {
			return steps // there is no good configuration yet
		}
	}
	due := map[FollowUp]bool{}
	for _, f := range o.Machine.Owed {
		due[f] = true
	}
	if o.Machine.Booted {
		due[RestartChecker] = true
	}
	o.Machine.bar(due)
	return slices.Concat(steps, do(ordered(due)), forget(due, o.Machine))
}

// bar leaves out what cannot be done while systemd is forbidden to start keepalived: once
// it may, it reads everything as it starts.
func (m Machine) bar(due map[FollowUp]bool) {
	if m.barred() {
		delete(due, Reload)
	}
}

// serve plans for a unit that takes part, or is about to.
func serve(d Desired, o Observed) []Step {
	var steps []Step
	if o.Machine.Version == "" {
		steps = append(steps, Step{Action: InstallPackage})
	}
	if d.Mode == Idle {
		return steps
	}
	daemon, others := changes(d, o.Machine)
	due := d.due(o.Machine, slices.Concat(daemon, others))
	if !o.Machine.Active || o.Machine.Disabled || o.Machine.Ignores(d.Layout) && o.Machine.InotifyLimit == 0 {
		due[Reload] = true
	}
	if o.Machine.mayRestore() {
		due[ApplySysctl] = true
	}
	o.Machine.bar(due)
	if !o.Machine.CheckerActive || !o.Machine.BinaryCurrent || o.Machine.Booted {
		due[RestartChecker] = true
	}
	pins := d.pins(o.Machine)
	if len(pins) > 0 && len(daemon) > 0 {
		due[Unpin] = true
	}
	if d.options.Notify && !o.Machine.NotifierActive {
		due[StartNotifier] = true
	}
	if !d.options.Notify {
		steps = append(steps, d.stopNotifier(o.Machine)...)
		delete(due, StartNotifier)
	}
	if stray := d.strays(o.Machine); len(stray) > 0 {
		steps = append(steps, Step{Action: Flush, Addresses: stray})
	}
	if lost := d.lost(o.Machine); len(lost) > 0 {
		steps = append(steps, Step{Action: Restore, Addresses: lost})
	}
	if len(daemon) > 0 {
		// First of all: what keepalived refuses leaves no trace, not even a debt.
		steps = append(steps, Step{Action: Test, Files: daemon})
	}
	steps = append(steps, owe(due, o.Machine)...)
	if !o.Machine.BinaryCurrent {
		steps = append(steps, Step{Action: InstallBinary})
	}
	begins, ends, between := d.silences(o.Machine)
	if begins && ends && due[Reload] {
		steps = append(steps, Step{Action: Write, Files: []File{between}}, Step{Action: Do, FollowUps: []FollowUp{RestartChecker}},
			Step{Action: Owe, FollowUps: []FollowUp{RestartChecker}})
		begins = false
	}
	if len(pins) > 0 && len(daemon) > 0 {
		steps = append(steps, Step{Action: Pin, Addresses: pins})
	}
	steps = append(steps, write(d.Layout, daemon, others)...)
	list := ordered(due)
	if reload, checker := slices.Index(list, Reload), slices.Index(list, RestartChecker); begins && reload >= 0 && checker >= 0 {
		// A unit that is to stand aside falls silent before its daemon changes, and takes
		// part again after that.
		list[reload], list[checker] = RestartChecker, Reload
	}
	steps = append(steps, do(list)...)
	if filtered := d.filtered(o.Machine); len(filtered) > 0 {
		// Now that no instance of the charm drops anything.
		steps = append(steps, Step{Action: Admit, Addresses: filtered})
	}
	return append(steps, forget(due, o.Machine)...)
}

// withdraw plans for a unit that serves nothing (any more).
func withdraw(d Desired, o Observed) []Step {
	var steps []Step
	d.Files = keep(o.Machine)
	if d.Mode == Released && o.upgrades() && !o.stopped() {
		d.Files[d.Layout.Upgrading()] = "until post-series-upgrade\n"
		if owner, noted := o.Machine.Files[d.Layout.Owner()]; noted {
			d.Files[d.Layout.Owner()] = owner
		}
	}
	daemon, others := changes(d, o.Machine)
	due := d.due(o.Machine, slices.Concat(daemon, others))
	delete(due, RestartChecker)
	delete(due, StartNotifier)
	steps = append(steps, d.stopNotifier(o.Machine)...)
	if _, stays := d.Files[MainFile]; !stays {
		delete(due, Reload) // nobody is left who would run it
	}
	o.Machine.bar(due)
	steps = append(steps, owe(due, o.Machine)...)
	// A checker that is down may still be enabled.
	if _, installed := o.Machine.Files[d.Layout.CheckerUnit()]; installed || o.Machine.CheckerActive {
		steps = append(steps, Step{Action: StopChecker})
	}
	if _, stays := d.Files[MainFile]; !stays && len(daemon) > 0 && o.Machine.Active {
		steps = append(steps, Step{Action: StopKeepalived})
	}
	steps = append(steps, write(d.Layout, daemon, others)...)
	steps = append(steps, do(ordered(due))...)
	steps = append(steps, forget(due, o.Machine)...)
	if d.Mode == Gone {
		steps = append(steps, Step{Action: RemoveState})
		if len(o.Machine.Neighbours) == 0 {
			steps = append(steps, Step{Action: RemovePackage})
		}
	}
	return steps
}

// stopNotifier ends the notifier before its files go.
func (d Desired) stopNotifier(m Machine) []Step {
	_, installed := m.Files[d.Layout.NotifierFiles()[0]]
	if !installed && !m.NotifierActive {
		return nil
	}
	return []Step{{Action: StopNotifier}}
}

// keep returns the files that stay when the application leaves: what neighbours
// share, and what was there before the charm.
func keep(m Machine) map[string]string {
	stay := map[string]string{}
	if len(m.Neighbours) > 0 {
		for _, path := range []string{MainFile, ForeignFile, SysctlFile} {
			if text, ok := m.Files[path]; ok {
				stay[path] = text
			}
		}
		return stay
	}
	if text, ok := m.foreignText(); ok {
		stay[MainFile] = text
	}
	return stay
}

// changes compares files: those that keepalived reads, and the others.
func changes(d Desired, m Machine) (daemon, others []File) {
	for _, path := range d.Layout.Files() {
		want, wanted := d.Files[path]
		have, exists := m.Files[path]
		if wanted == exists && want == have {
			continue
		}
		f := File{Path: path, Content: want, Remove: !wanted}
		if d.Layout.followUp(path) == Reload || path == ForeignFile {
			daemon = append(daemon, f)
		} else {
			others = append(others, f)
		}
	}
	// The foreign file is saved before, and removed after, the main file changes. Our
	// fragment names the parameters in use; it is there before the Python charm's
	// file, which does too, goes.
	slices.SortStableFunc(daemon, func(a, b File) int { return rank(a) - rank(b) })
	return daemon, others
}

// write puts the files in place: what keepalived reads in one step and behind the record,
// so that this is never older; what is not to be there any more goes before its record.
func write(l Layout, daemon, others []File) []Step {
	var steps []Step
	if n := slices.IndexFunc(others, func(f File) bool { return f.Path == l.Record() && !f.Remove }); n >= 0 && len(daemon) > 0 {
		daemon, others = append([]File{others[n]}, daemon...), slices.Delete(slices.Clone(others), n, n+1)
	}
	for _, files := range [][]File{daemon, others} {
		if len(files) > 0 {
			steps = append(steps, Step{Action: Write, Files: files})
		}
	}
	return steps
}

func rank(f File) int {
	switch {
	case f.Path == ForeignFile && !f.Remove:
		return 0
	case f.Path == MainFile:
		return 2
	case f.Path == ForeignFile:
		return 3
	}
	return 1
}

// due collects the follow-ups that changed files call for and those still owed.
func (d Desired) due(m Machine, files []File) map[FollowUp]bool {
	due := map[FollowUp]bool{}
	for _, f := range files {
		if follow := d.Layout.followUp(f.Path); follow != "" {
			due[follow] = true
			if f.Path == d.Layout.CheckerUnit() || f.Path == d.Layout.YieldUnit() {
				due[RestartChecker] = true
			}
			if slices.Contains(d.Layout.NotifierFiles(), f.Path) {
				due[StartNotifier] = true
			}
		}
	}
	for _, f := range m.Owed {
		due[f] = true
	}
	return due
}

func owe(due map[FollowUp]bool, m Machine) []Step {
	fresh := maps.Clone(due)
	for _, f := range m.Owed {
		delete(fresh, f)
	}
	if len(fresh) == 0 {
		return nil
	}
	return []Step{{Action: Owe, FollowUps: ordered(fresh)}}
}

// forget drops what is owed but not due.
func forget(due map[FollowUp]bool, m Machine) []Step {
	idle := slices.DeleteFunc(slices.Clone(m.Owed), func(f FollowUp) bool { return due[f] })
	if len(idle) == 0 {
		return nil
	}
	return []Step{{Action: Forget, FollowUps: idle}}
}

func do(list []FollowUp) []Step {
	var steps []Step
	for _, f := range list {
		steps = append(steps, Step{Action: Do, FollowUps: []FollowUp{f}})
	}
	return steps
}

func ordered(due map[FollowUp]bool) []FollowUp {
	return slices.DeleteFunc(FollowUps(), func(f FollowUp) bool { return !due[f] })
}
