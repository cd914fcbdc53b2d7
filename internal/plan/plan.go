// Package plan lists the steps from the machine as it is to a decision, in an order in which
// every one is safe to be killed in. A second pass over its own result plans nothing. It does
// no I/O.
package plan

import (
	"errors"
	"maps"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
)

// followUp tells what a change of a file calls for.
func followUp(l layout.Layout, file string) step.FollowUp {
	switch file {
	case layout.MainFile, l.Fragment():
		return step.Reload
	case layout.SysctlFile:
		return step.ApplySysctl
	case l.DropIn(), l.CheckerUnit(), l.YieldUnit():
		return step.DaemonReload
	case l.CheckerConfig(), l.CheckerCA():
		return step.RestartChecker
	}
	if slices.Contains(l.NotifierFiles(), file) {
		return step.DaemonReload
	}
	return ""
}

// mayRestore tells that a setting has drifted that may be written here.
func mayRestore(m facts.Machine) bool {
	return slices.ContainsFunc(m.Drifted, func(name string) bool { return !slices.Contains(m.Fixed, name) })
}

// Steps lists the steps from what is to what is wanted, none when they agree. The
// order keeps two promises at every point where a hook may die: the daemon never
// reads a file that was not tested, and what it has not read yet is remembered.
func Steps(d decide.Desired, o facts.Observed) []step.Step {
	o.Machine = o.Machine.Indexed()
	steps := beginsOrEnds(o)
	if _, taken := o.Owner(); taken {
		return steps
	}
	if d.Mode == decide.Serving {
		steps = append(steps, serve(d, o)...)
	} else {
		steps = append(steps, withdraw(d, o)...)
	}
	if d.Mode == decide.Idle && o.Machine.Version == "" && o.Event.Hook == hooks.Install {
		steps = append(steps, step.Step{Action: step.InstallPackage})
	}
	if o.Machine.Leftovers {
		steps = append(steps, step.Step{Action: step.RemoveLeftovers})
	}
	return steps
}

// Settle lists what a unit still owes when something keeps it from deciding anything
// new: the last good configuration is carried through, what it serves by is kept running,
// the Python charm's keepalived too, and while it waits for others the package is installed.
func Settle(o facts.Observed, why error) []step.Step {
	return append(beginsOrEnds(o), settle(o, why, true)...)
}

// Keep lists what a unit does that keeps what keepalived reads because something refuses what
// was decided: beside Settle's an operator's pause and resume are obeyed.
func Keep(d decide.Desired, o facts.Observed, why error) []step.Step {
	config, obeys := d.Obeys(o.Machine)
	if !obeys {
		return without(append(beginsOrEnds(o), settle(o, why, d.Confirms(o.Machine))...), step.InstallPackage)
	}
	owed := owe(map[step.FollowUp]bool{step.RestartChecker: true}, o.Machine)
	o.Machine.Owed = append(slices.Clone(o.Machine.Owed), step.RestartChecker)
	return without(slices.Concat(owed, []step.Step{{Action: step.Write, Files: []step.File{config}}}, Settle(o, why)), step.InstallPackage)
}

// without leaves out an action: in Keep the one that may have been refused, which would end
// all that follows.
func without(steps []step.Step, action step.Action) []step.Step {
	return slices.DeleteFunc(steps, func(s step.Step) bool { return s.Action == action })
}

// beginsOrEnds notes that the unit departs or ends before anything else is done for it, and
// takes the notes back where Juju begins the unit anew. An upgrade of the base that is over
// is so whatever comes of all else.
func beginsOrEnds(o facts.Observed) []step.Step {
	steps := departsOrEnds(o)
	_, taken := o.Owner()
	if mark := o.Layout().Upgrading(); !taken && !o.Upgrades() && has(o.Machine, mark) {
		steps = append(steps, step.Step{Action: step.Write, Files: []step.File{{Path: mark, Remove: true}}})
	}
	return steps
}

func departsOrEnds(o facts.Observed) []step.Step {
	switch ends := decide.ModeOf(o.Event.Hook) == decide.Gone || o.Event.Hook == hooks.Stop; {
	case ends && !o.Machine.Stopped:
		return []step.Step{{Action: step.End}}
	case ends || o.Stopped():
	case o.Departs() && !o.Machine.Departs:
		return []step.Step{{Action: step.Depart}}
	case o.Machine.Stopped || o.Machine.Departs && !o.Departs():
		return []step.Step{{Action: step.Begin}}
	}
	return nil
}

// settle lists what a unit owes whose files stay; confirms tells that they may let it take part
// after a boot.
func settle(o facts.Observed, why error, confirms bool) []step.Step {
	var waiting *status.Waiting
	serves := o.Machine.Serves()
	var steps []step.Step
	if o.Machine.Version == "" && (serves || errors.As(why, &waiting)) {
		steps = append(steps, step.Step{Action: step.InstallPackage})
	}
	l := o.Layout()
	if _, taken := o.Owner(); taken {
		return steps
	}
	due := map[step.FollowUp]bool{}
	if serves && has(o.Machine, layout.MainFile) && (!o.Machine.Active || o.Machine.Disabled) {
		due[step.Reload] = true
	}
	ours := has(o.Machine, layout.MainFile, l.CheckerUnit(), l.CheckerConfig())
	if ours {
		for _, f := range o.Machine.Owed {
			due[f] = true
		}
		if o.Machine.Booted || !o.Machine.CheckerActive {
			due[step.RestartChecker] = true
		}
	}
	bar(o.Machine, due)
	now := maps.Clone(due)
	if ours && o.Machine.Active && !has(o.Machine, l.Fragment()) {
		delete(now, step.Reload) // it would lose what it runs
	}
	if !confirms {
		delete(now, step.RestartChecker)
	}
	steps = append(steps, do(ordered(now))...)
	if ours { // what is owed of a configuration that is not there yet stays so
		steps = append(steps, forget(due, o.Machine)...)
	}
	return steps
}

// has tells that files are there.
func has(m facts.Machine, paths ...string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool {
		_, written := m.Files[path]
		return !written
	})
}

// bar leaves out what cannot be done while systemd is forbidden to start keepalived: once
// it may, it reads everything as it starts.
func bar(m facts.Machine, due map[step.FollowUp]bool) {
	if m.Barred() {
		delete(due, step.Reload)
	}
}

// serve plans for a unit that takes part, or is about to.
func serve(d decide.Desired, o facts.Observed) []step.Step {
	var steps []step.Step
	daemon, others := changes(d, o.Machine)
	// One whose program is gone while the daemon runs goes on with all that needs none: what
	// brings it may be refused.
	tests, lacks := len(daemon) > 0 || d.Tried != "", o.Machine.Version == ""
	if lacks && (tests || !o.Machine.Active) {
		steps = append(steps, step.Step{Action: step.InstallPackage})
	}
	due := due(d, o.Machine, slices.Concat(daemon, others))
	if !o.Machine.Active || o.Machine.Disabled || o.Machine.ReloadHelps(d.Layout) {
		due[step.Reload] = true
	}
	if mayRestore(o.Machine) {
		due[step.ApplySysctl] = true
	}
	bar(o.Machine, due)
	if !o.Machine.CheckerActive || !o.Machine.BinaryCurrent || o.Machine.Booted {
		due[step.RestartChecker] = true
	}
	pins := d.Pins(o.Machine)
	if len(pins) > 0 && len(daemon) > 0 {
		due[step.Unpin] = true
	}
	if d.Options.Notify && !o.Machine.NotifierActive {
		due[step.StartNotifier] = true
	}
	if !d.Options.Notify {
		steps = append(steps, stopNotifier(d, o.Machine)...)
		delete(due, step.StartNotifier)
	}
	if stray := d.Strays(o.Machine); len(stray) > 0 {
		steps = append(steps, step.Step{Action: step.Flush, Addresses: stray})
	}
	if lost := d.Lost(o.Machine); len(lost) > 0 {
		steps = append(steps, step.Step{Action: step.Restore, Addresses: lost})
	}
	if len(daemon) > 0 {
		// First of all: what keepalived refuses leaves no trace, not even a debt.
		steps = append(steps, step.Step{Action: step.Test, Files: daemon})
	}
	if d.Tried != "" {
		// So is what keepalived would refuse as the unit changes over: it is not announced.
		steps = append(steps, step.Step{Action: step.Test, Files: append(slices.Clone(daemon), step.File{Path: d.Layout.Fragment(), Content: d.Tried})})
	}
	steps = append(steps, owe(due, o.Machine)...)
	if !o.Machine.BinaryCurrent {
		steps = append(steps, step.Step{Action: step.InstallBinary})
	}
	begins, ends, between := d.Silences(o.Machine)
	if begins && ends && due[step.Reload] {
		steps = append(steps, step.Step{Action: step.Write, Files: []step.File{between}}, step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.RestartChecker}},
			step.Step{Action: step.Owe, FollowUps: []step.FollowUp{step.RestartChecker}})
		begins = false
	}
	if len(pins) > 0 && len(daemon) > 0 {
		steps = append(steps, step.Step{Action: step.Pin, Addresses: pins})
	}
	steps = append(steps, write(d.Layout, o.Machine, daemon, others)...)
	list := ordered(due)
	if reload, checker := slices.Index(list, step.Reload), slices.Index(list, step.RestartChecker); begins && reload >= 0 && checker >= 0 {
		// A unit that is to stand aside falls silent before its daemon changes, and takes
		// part again after that.
		list[reload], list[checker] = step.RestartChecker, step.Reload
	}
	steps = append(steps, do(list)...)
	if filtered := d.Dropped(o.Machine); len(filtered) > 0 {
		// Now that no instance of the charm drops anything.
		steps = append(steps, step.Step{Action: step.Admit, Addresses: filtered})
	}
	steps = append(steps, forget(due, o.Machine)...)
	if lacks && !tests && o.Machine.Active {
		steps = append(steps, step.Step{Action: step.InstallPackage})
	}
	return steps
}

// withdraw plans for a unit that serves nothing (any more).
func withdraw(d decide.Desired, o facts.Observed) []step.Step {
	var steps []step.Step
	d.Files = keep(o.Machine)
	if d.Mode == decide.Released && o.Upgrades() && !o.Stopped() {
		d.Files[d.Layout.Upgrading()] = o.UpgradeMark()
		if owner, noted := o.Machine.Files[d.Layout.Owner()]; noted {
			d.Files[d.Layout.Owner()] = owner
		}
	}
	daemon, others := changes(d, o.Machine)
	due := due(d, o.Machine, slices.Concat(daemon, others))
	delete(due, step.RestartChecker)
	delete(due, step.StartNotifier)
	steps = append(steps, stopNotifier(d, o.Machine)...)
	if _, stays := d.Files[layout.MainFile]; !stays || o.Machine.Version == "" && (!o.Machine.Active || o.Machine.Unpackaged) {
		delete(due, step.Reload) // nobody is left who would run it
	}
	bar(o.Machine, due)
	steps = append(steps, owe(due, o.Machine)...)
	// A checker that is down may still be enabled.
	if _, installed := o.Machine.Files[d.Layout.CheckerUnit()]; installed || o.Machine.CheckerActive {
		steps = append(steps, step.Step{Action: step.StopChecker})
	}
	if _, stays := d.Files[layout.MainFile]; !stays && len(daemon) > 0 && o.Machine.Active {
		steps = append(steps, step.Step{Action: step.StopKeepalived})
	}
	steps = append(steps, write(d.Layout, o.Machine, daemon, others)...)
	list := ordered(due)
	if due[step.Unpin] {
		// Others have taken over by now.
		list = append([]step.FollowUp{step.Unpin}, slices.DeleteFunc(list, func(f step.FollowUp) bool { return f == step.Unpin })...)
	}
	steps = append(steps, do(list)...)
	steps = append(steps, forget(due, o.Machine)...)
	if d.Mode == decide.Gone {
		steps = append(steps, step.Step{Action: step.RemoveState})
		if len(o.Machine.Neighbours) == 0 {
			steps = append(steps, step.Step{Action: step.RemovePackage})
		}
	}
	return steps
}

// stopNotifier ends the notifier before its files go.
func stopNotifier(d decide.Desired, m facts.Machine) []step.Step {
	_, installed := m.Files[d.Layout.NotifierFiles()[0]]
	if !installed && !m.NotifierActive {
		return nil
	}
	return []step.Step{{Action: step.StopNotifier}}
}

// keep returns the files that stay when the application leaves: what neighbours
// share, and what was there before the charm.
func keep(m facts.Machine) map[string]string {
	stay := map[string]string{}
	if len(m.Neighbours) > 0 {
		for _, path := range []string{layout.MainFile, layout.ForeignFile, layout.SysctlFile, layout.SysctlForeign} {
			if text, ok := m.Files[path]; ok {
				stay[path] = text
			}
		}
		return stay
	}
	if text, ok := m.ForeignText(); ok {
		stay[layout.MainFile] = text
	}
	if text, ok := m.ForeignSysctl(); ok {
		stay[layout.SysctlFile] = text
	}
	return stay
}

// changes compares files: those that keepalived reads, and the others.
func changes(d decide.Desired, m facts.Machine) (daemon, others []step.File) {
	for _, path := range d.Layout.Files() {
		want, wanted := d.Files[path]
		have, exists := m.Files[path]
		if wanted == exists && want == have || path == d.Layout.Upgrading() && !wanted { // beginsOrEnds removes it
			continue
		}
		f := step.File{Path: path, Content: want, Remove: !wanted}
		if followUp(d.Layout, path) == step.Reload || path == layout.ForeignFile {
			daemon = append(daemon, f)
		} else {
			others = append(others, f)
		}
	}
	// A foreign file is saved before, and removed after, the one in its place changes. Our
	// fragment names the parameters in use; it is there before the Python charm's
	// file, which does too, goes.
	for _, files := range [][]step.File{daemon, others} {
		slices.SortStableFunc(files, func(a, b step.File) int { return order(a) - order(b) })
	}
	return daemon, others
}

// write puts the files in place: what keepalived reads in one step and behind the record,
// so that this is never older; what is not to be there any more goes before its record. Where
// there is no health checker's configuration yet, which may keep the unit out of the election
// from when keepalived starts, that and what has it read are there first.
func write(l layout.Layout, m facts.Machine, daemon, others []step.File) []step.Step {
	var steps []step.Step
	order := [][]step.File{daemon, others}
	if n := slices.IndexFunc(others, func(f step.File) bool { return f.Path == l.Record() && !f.Remove }); n >= 0 && len(daemon) > 0 {
		order = [][]step.File{append([]step.File{others[n]}, daemon...), slices.Delete(slices.Clone(others), n, n+1)}
		if _, configured := m.Files[l.CheckerConfig()]; !configured {
			order = [][]step.File{append([]step.File{others[n]}, order[1]...), daemon}
		}
	}
	for _, files := range order {
		if len(files) > 0 {
			steps = append(steps, step.Step{Action: step.Write, Files: files})
		}
	}
	return steps
}

func order(f step.File) int {
	switch aside := f.Path == layout.ForeignFile || f.Path == layout.SysctlForeign; {
	case aside && !f.Remove:
		return 0
	case f.Path == layout.MainFile:
		return 2
	case aside:
		return 3
	}
	return 1
}

// due collects the follow-ups that changed files call for and those still owed.
func due(d decide.Desired, m facts.Machine, files []step.File) map[step.FollowUp]bool {
	due := map[step.FollowUp]bool{}
	for _, f := range files {
		if follow := followUp(d.Layout, f.Path); follow != "" {
			due[follow] = true
			if f.Path == d.Layout.CheckerUnit() || f.Path == d.Layout.YieldUnit() {
				due[step.RestartChecker] = true
			}
			if slices.Contains(d.Layout.NotifierFiles(), f.Path) {
				due[step.StartNotifier] = true
			}
		}
	}
	for _, f := range m.Owed {
		due[f] = true
	}
	return due
}

func owe(due map[step.FollowUp]bool, m facts.Machine) []step.Step {
	fresh := maps.Clone(due)
	for _, f := range m.Owed {
		delete(fresh, f)
	}
	if len(fresh) == 0 {
		return nil
	}
	return []step.Step{{Action: step.Owe, FollowUps: ordered(fresh)}}
}

// forget drops what is owed but not due.
func forget(due map[step.FollowUp]bool, m facts.Machine) []step.Step {
	idle := slices.DeleteFunc(slices.Clone(m.Owed), func(f step.FollowUp) bool { return due[f] })
	if len(idle) == 0 {
		return nil
	}
	return []step.Step{{Action: step.Forget, FollowUps: idle}}
}

func do(list []step.FollowUp) []step.Step {
	var steps []step.Step
	for _, f := range list {
		steps = append(steps, step.Step{Action: step.Do, FollowUps: []step.FollowUp{f}})
	}
	return steps
}

func ordered(due map[step.FollowUp]bool) []step.FollowUp {
	return slices.DeleteFunc(step.FollowUps(), func(f step.FollowUp) bool { return !due[f] })
}
