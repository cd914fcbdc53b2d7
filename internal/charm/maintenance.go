package charm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/reconcile"
)

// These actions wait for what VRRP does, with this patience.
const (
	moveLimit = 10 * time.Second
	hearLimit = 3 * time.Second
)

// pause keeps the unit out of the election until resume.
func pause(r request) (map[string]string, error) {
	force, err := r.flag("force")
	if err != nil {
		return nil, fmt.Errorf("cannot pause: %w", err)
	}
	want, err := reconcile.Desire(r.obs)
	if err != nil {
		return nil, err
	}
	if r.obs.Machine.Paused {
		return map[string]string{"summary": "this unit is paused already; resume lets it take part again", "gap": "0s"}, nil
	}
	if !force {
		if err := want.Successor(); err != nil {
			return nil, fmt.Errorf("cannot pause: %w; force=true pauses all the same", err)
		}
	}
	held := want.Holds(r.obs.Machine)
	gap, err := r.change(reconcile.Pause, held)
	if err != nil {
		return nil, err
	}
	summary := "paused: this unit takes no virtual IP until resume"
	if held {
		summary += "; what it held was away for " + gap
	}
	return map[string]string{"summary": summary, "gap": gap}, nil
}

// resume ends pause.
func resume(r request) (map[string]string, error) {
	if !r.obs.Machine.Paused {
		return map[string]string{"summary": "this unit is not paused"}, nil
	}
	if _, err := r.change(reconcile.Resume, false); err != nil {
		return nil, err
	}
	return map[string]string{"summary": "resumed: " + status(r.obs).Message}, nil
}

// restart restarts keepalived; a holder hands over first.
func restart(r request) (map[string]string, error) {
	want, err := reconcile.Desire(r.obs)
	if err != nil {
		return nil, err
	}
	gap, err := r.change(reconcile.Restart, want.Holds(r.obs.Machine))
	if err != nil {
		return nil, err
	}
	return map[string]string{"summary": "keepalived was restarted", "gap": gap}, nil
}

// failover hands the virtual IPs to another unit.
func failover(r request) (map[string]string, error) {
	want, err := reconcile.Desire(r.obs)
	if err != nil {
		return nil, err
	}
	if !want.Holds(r.obs.Machine) {
		return nil, fmt.Errorf("cannot fail over: this unit holds nothing (%s)", status(r.obs).Message)
	}
	if want.Spread() {
		return nil, errors.New("cannot fail over: with spread=true each virtual IP returns to its unit at once; pause keeps them away")
	}
	if err := want.Successor(); err != nil {
		return nil, fmt.Errorf("cannot fail over: %w", err)
	}
	gap, err := r.change(reconcile.HandOver, true)
	if err != nil {
		return nil, err
	}
	if want.Holds(r.obs.Machine) {
		return nil, errors.New("cannot fail over: no other unit took the virtual IPs, this one holds them still")
	}
	return map[string]string{
		"summary": "handed over: " + status(r.obs).Message, "from": r.obs.Event.Unit.String(), "to": r.holders(), "gap": gap,
	}, nil
}

// holders names who has the virtual IPs now.
func (r *request) holders() string {
	var names []string
	for _, i := range reconcile.Look(r.obs).Instances {
		if name := cmp.Or(i.Holder, "unknown"); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// change carries out an operator's step and then what every hook does. When the
// virtual IPs leave this unit it tells for how long nobody answered at the first,
// as seen from here.
func (r *request) change(action reconcile.Action, leaving bool) (string, error) {
	l := reconcile.Layout{Application: r.obs.Event.Unit.Application}
	want, err := reconcile.Desire(r.obs)
	if err != nil {
		return "", err
	}
	end := func() (time.Duration, bool) { return 0, true }
	if leaving {
		end = r.m.Watch(want.Service(r.obs.Machine))
	}
	err = r.m.Apply(l, reconcile.Step{Action: action})
	if err == nil {
		err = r.look(l)
	}
	for began := time.Now(); err == nil && leaving && want.Holds(r.obs.Machine) && time.Since(began) < moveLimit; {
		r.m.Rest()
		r.obs.Machine, err = r.m.Observe(l)
	}
	silent, answers := end()
	// A unit that takes part anew has to hear the holder before it can name it.
	for began := time.Now(); err == nil && status(r.obs).Level == juju.Waiting && time.Since(began) < hearLimit; {
		r.m.Rest()
		r.obs.Machine, err = r.m.Observe(l)
	}
	if err == nil {
		err = r.look(l)
	}
	if !answers {
		return "still going on", err
	}
	return silent.Round(time.Millisecond).String(), err
}

// look reads the machine, passes once and sets the status. Juju 4 refuses to set
// it in an action: the next hook does.
func (r *request) look(l reconcile.Layout) error {
	var err error
	if r.obs.Machine, err = r.m.Observe(l); err != nil {
		return err
	}
	s, err := pass(r.obs, r.j, r.m)
	if err != nil {
		return err
	}
	if err := r.j.SetStatus(s); err != nil {
		r.j.Log(err.Error())
	}
	return nil
}
