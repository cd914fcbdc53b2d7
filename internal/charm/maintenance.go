package charm

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/show"
	"keepalived-charm/internal/step"
)

// These actions wait for what VRRP does, with this patience.
const (
	moveLimit = 10 * time.Second
	hearLimit = 3 * time.Second
)

// goesOn is the gap that has not ended yet.
const goesOn = "still going on"

// pause keeps the unit out of the election until resume.
func pause(r request) (map[string]string, error) {
	force, err := r.flag("force")
	if err != nil {
		return nil, fmt.Errorf("cannot pause: %w", err)
	}
	want, err := r.wanted()
	if err != nil {
		return nil, err
	}
	if r.obs.Machine.Paused {
		return map[string]string{"summary": "this unit is paused already; resume lets it take part again", "gap": "0s"}, nil
	}
	if !force {
		asked, err := r.asked()
		if err == nil {
			err = asked.Successor()
		}
		if err != nil {
			return nil, fmt.Errorf("cannot pause: %w; force=true pauses all the same", err)
		}
	}
	held := want.Holds(r.obs.Machine)
	gap, err := r.change(want, step.Pause, held)
	if err != nil {
		return nil, err
	}
	summary := "paused: this unit takes no virtual IP until resume"
	switch {
	case r.said.Level != juju.Maintenance && !r.obeyed(want):
		summary = "paused, once this is mended: " + r.said.Message
	case want.Holds(r.obs.Machine):
		summary = "not obeyed yet: " + r.said.Message
	case gap == goesOn:
		summary += "; nobody answers at what it held"
	case held:
		summary += "; what it held was away for " + gap
	}
	return map[string]string{"summary": summary, "gap": gap}, nil
}

// obeyed tells that the health checker keeps the unit out for an operator and keepalived
// follows, also where that refuses what else is to be.
func (r request) obeyed(want decide.Desired) bool {
	c := r.obs.Machine.Checker
	return c != nil && c.Aside() == group.Paused.Text() && show.Unmoved(want, r.obs.Machine) == ""
}

// resume ends pause.
func resume(r request) (map[string]string, error) {
	want, err := r.wanted()
	if err != nil {
		return nil, err
	}
	if !r.obs.Machine.Paused {
		return map[string]string{"summary": "this unit is not paused"}, nil
	}
	if _, err := r.change(want, step.Resume, false); err != nil {
		return nil, err
	}
	summary := "resumed: " + r.said.Message
	if r.said.Level == juju.Blocked {
		summary = "resumed, once this is mended: " + r.said.Message
	}
	return map[string]string{"summary": summary}, nil
}

// restart restarts keepalived; a holder hands over first.
func restart(r request) (map[string]string, error) {
	want, err := r.wanted()
	if err != nil {
		return nil, err
	}
	gap, err := r.change(want, step.Restart, want.Holds(r.obs.Machine))
	if err != nil {
		return nil, err
	}
	return map[string]string{"summary": "keepalived was restarted: " + r.said.Message, "gap": gap}, nil
}

// failover hands the virtual IPs to another unit.
func failover(r request) (map[string]string, error) {
	want, err := r.wanted()
	if err != nil {
		return nil, err
	}
	if !want.Holds(r.obs.Machine) {
		return nil, fmt.Errorf("cannot fail over: this unit holds nothing (%s)", statusOf(r.obs).Message)
	}
	if want.Spread {
		return nil, errors.New("cannot fail over: with spread=true each virtual IP returns to its unit at once; pause keeps them away")
	}
	if show.Unmoved(want, r.obs.Machine) != "" {
		r.passAgain() // a pass may mend it
		r.await(hearLimit, func() bool { return show.Unmoved(want, r.obs.Machine) != "" })
		if why := show.Unmoved(want, r.obs.Machine); why != "" {
			return nil, fmt.Errorf("cannot fail over: %s", why)
		}
	}
	asked, err := r.asked()
	if err == nil {
		err = asked.Successor()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot fail over: %w", err)
	}
	if asked.Returns(r.obs.Machine) {
		return nil, errors.New("cannot fail over: with preempt=true the virtual IPs return to this unit at once, it ranks highest; pause keeps them away")
	}
	gap, err := r.change(want, step.HandOver, true)
	if err != nil {
		return nil, err
	}
	if want.Holds(r.obs.Machine) {
		return nil, errors.New("cannot fail over: no other unit took the virtual IPs, this one holds them still")
	}
	return map[string]string{
		"summary": "handed over: " + r.said.Message, "from": r.obs.Event.Unit.String(), "to": r.holders(), "gap": gap,
	}, nil
}

// asked is what is wanted as far as peers count whose machines answer now. What the
// others told last may be old: a dead machine withdraws nothing.
func (r request) asked() (decide.Desired, error) {
	silent, err := r.m.Unreachable(decide.Near(r.obs), decide.MACs(r.obs))
	if err != nil {
		return decide.Desired{}, err
	}
	obs := r.obs
	obs.Machine.Unreachable = slices.Concat(obs.Machine.Unreachable, silent)
	return decide.Decide(obs)
}

// wanted is the decision of a unit that an operator can move: one that stays, and whose
// machine another one does not serve.
func (r request) wanted() (decide.Desired, error) {
	want, err := decide.Decide(r.obs)
	owner, taken := r.obs.Owner()
	switch {
	case err != nil:
	case r.obs.Machine.Stopped:
		err = errors.New("this unit has been stopped: Juju removes it")
	case taken:
		err = fmt.Errorf("%s serves %s on this machine: run the action there", owner, owner.Application)
	}
	return want, err
}

// change carries out an operator's step and then what every hook does. When the
// virtual IPs leave this unit it tells for how long nobody answered at the first,
// as seen from here. An error is the step's, which then changed nothing.
func (r *request) change(want decide.Desired, action step.Action, leaving bool) (string, error) {
	end := func() (time.Duration, bool) { return 0, true }
	if leaving {
		end = r.m.Watch(want.Service(r.obs.Machine))
	}
	if err := r.m.Apply(r.layout(), step.Step{Action: action}); err != nil {
		end()
		return "", err
	}
	r.passAgain()
	r.await(moveLimit, func() bool {
		return leaving && (r.said.Level != juju.Blocked || r.obeyed(want)) && want.Holds(r.obs.Machine)
	})
	silent, answers := end()
	// A unit that takes part anew has to hear the holder before it can name it.
	r.await(hearLimit, func() bool { return r.does().Level == juju.Waiting })
	r.passAgain()
	if !answers {
		return goesOn, nil
	}
	return silent.Round(time.Millisecond).String(), nil
}

// await reads the machine again while something lasts, to a limit.
func (r *request) await(limit time.Duration, lasts func() bool) {
	for began := r.m.Now(); lasts() && r.m.Now().Sub(began) < limit; {
		r.m.Rest()
		m, err := r.m.Observe(r.layout())
		if err != nil {
			return // passAgain says so
		}
		r.obs.Machine = m
	}
}

// passAgain reads the machine, passes once and shows the status. What keeps it from that
// is what the action says: the step is done, and the next hook goes on from there.
func (r *request) passAgain() {
	m, err := r.m.Observe(r.layout())
	end := outcome{}
	if err == nil {
		r.obs.Machine = m
		end, err = pass(r.obs, r.j, r.m)
	}
	if err == nil && end.does.Level == juju.Blocked {
		// What that changed all the same.
		if m, err = r.m.Observe(r.layout()); err == nil {
			r.obs.Machine = m
		}
	}
	if err != nil {
		r.said = juju.Status{Level: juju.Blocked, Message: err.Error()}
		r.j.Log(err.Error())
		return
	}
	r.said = end.does
	// Juju 4 refuses to set it in an action: the next hook does.
	if err := setStatus(end.shown, r.j); err != nil {
		r.j.Log(err.Error())
	}
}

// does is what the unit does now, by whatever options.
func (r request) does() juju.Status {
	r.obs.Refusal = nil
	return statusOf(r.obs)
}
