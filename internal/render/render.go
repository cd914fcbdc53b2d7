// Package render turns a decision into the files that carry it out. They are output: no
// hook reads them back, but for the record (package applied). It does no I/O.
package render

import (
	"strings"
	"time"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/templates"
)

// Desire decides and renders. The error is a *status.Blocked, *status.Waiting or
// *config.Invalid when somebody must act, a fault of the charm otherwise.
func Desire(o facts.Observed) (decide.Desired, error) {
	d, err := decide.Decide(o)
	if err == nil && d.Mode == decide.Serving {
		err = Files(&d, o)
	}
	if err != nil {
		return decide.Desired{}, err
	}
	return d, nil
}

// Files fills the files of a decision.
func Files(d *decide.Desired, o facts.Observed) error {
	l := d.Layout
	main := keepalived.Main{Fragments: layout.FragmentDir}
	if text, ok := o.Machine.ForeignText(); ok {
		main.Foreign = layout.ForeignFile
		d.Files[layout.ForeignFile] = text
	}
	sysctl := ""
	if text, ok := o.Machine.ForeignSysctl(); ok {
		d.Files[layout.SysctlForeign], sysctl = text, layout.SysctlBefore+"\n"+strings.TrimSuffix(text, "\n")+"\n"
	}
	if ca := d.Options.Check.CA; ca != "" {
		d.Files[l.CheckerCA()] = ca
	}
	units := services{l, o.Event.Unit, d.Options.Notify, 10*time.Second + decide.Startup(o.Machine), d.Watch.Metrics.Privileged()}
	files := map[string]func() (string, error){
		layout.MainFile: main.Render,
		l.Fragment(): keepalived.Fragment{Application: l.Application,
			Instances: d.VRRPInstances()}.Render,
		l.CheckerConfig(): func() (string, error) {
			text, err := d.Watch.Marshal()
			return string(text), err
		},
		l.Record():        func() (string, error) { return record(*d, o).Encode() },
		layout.SysctlFile: func() (string, error) { return templates.Render("sysctl.conf", sysctl) },
		l.DropIn():        func() (string, error) { return templates.Render("drop-in.conf", units) },
		l.CheckerUnit():   func() (string, error) { return templates.Render("checker.service", units) },
		l.YieldUnit():     func() (string, error) { return templates.Render("yield.service", units) },
	}
	if d.Options.Notify {
		names := l.NotifierFiles()
		files[names[0]] = func() (string, error) { return templates.Render("notifier.path", units) }
		files[names[1]] = func() (string, error) { return templates.Render("notifier.service", units) }
	}
	if len(d.Trial) > 0 {
		var err error
		if d.Tried, err = (keepalived.Fragment{Application: l.Application, Instances: d.Trial}).Render(); err != nil {
			return err
		}
	}
	for path, text := range files {
		var err error
		if d.Files[path], err = text(); err != nil {
			return err
		}
	}
	for path, name := range map[string]string{layout.MainFile: "keepalived.conf", layout.SysctlFile: "sysctl.conf"} {
		if o.Machine.Formats[path] > templates.Format(name) {
			d.Files[path] = o.Machine.Files[path] // a later revision's
		}
	}
	d.Files[l.Owner()] = o.Event.Unit.String() + "\n"
	return nil
}

// services is what the systemd templates print.
type services struct {
	layout.Layout
	Unit   juju.Unit
	Notify bool
	// Start is how long keepalived may take to start, a script of the machine's owner included.
	Start time.Duration
	// Privileged tells that the port of the metrics is for root alone.
	Privileged bool
}
