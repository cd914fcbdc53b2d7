package controller

import (
	"fmt"
	"time"
)

// lease is the leadership of an application. As in Juju it is claimed by the
// agents and must be renewed before it expires.
type lease struct {
	holder    string
	expires   time.Time
	successor string // set by SetLeader until the holder has been told
	held      time.Duration
}

// claim asks for the lease; the second result says whether the lease went free
// for somebody else.
func (l *lease) claim(unit string, d time.Duration, now time.Time) (granted, freed bool) {
	if l.successor == l.holder {
		l.successor = ""
	}
	if l.successor != "" && l.holder == unit { // learns now that it is leader no longer
		l.holder, l.expires = "", now
		return false, true
	}
	if l.holder != "" && l.holder != unit && now.Before(l.expires) {
		return false, false
	}
	if l.successor != "" && l.successor != unit {
		return false, false
	}
	l.holder, l.expires, l.successor, l.held = unit, now.Add(d), "", d
	return true, false
}

// drop forgets a unit that left the model.
func (l *lease) drop(unit string) {
	if l.holder == unit {
		l.holder = ""
	}
	if l.successor == unit {
		l.successor = ""
	}
}

// free says whether unit could get the lease now.
func (l *lease) free(unit string, now time.Time) bool {
	if l.successor != "" && l.successor != unit {
		return false
	}
	return l.holder == "" || now.After(l.expires)
}

// SetLeader moves the leadership of the unit's application to the unit. The
// present leader learns of it when it next renews its lease, and only then does
// the new one get it, so there are never two.
func (c *Controller) SetLeader(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[name]
	if !ok {
		return notFound("unit", name)
	}
	if u.life != alive {
		return fmt.Errorf("cannot make %s leader: unit is %s", name, u.life)
	}
	a := c.apps[u.app]
	a.lease.successor = name
	if !u.hasAgent {
		a.lease = lease{holder: name, expires: time.Now().Add(1000 * time.Hour)}
	}
	c.changedLocked()
	return nil
}

// Leader returns the unit that holds an application's leadership, or "".
func (c *Controller) Leader(app string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[app]
	if !ok {
		return "", notFound("application", app)
	}
	return c.leaderLocked(a), nil
}

func (c *Controller) leaderLocked(a *application) string {
	if a.lease.holder != "" && (c.down || time.Now().Before(a.lease.expires)) {
		return a.lease.holder
	}
	return ""
}

func claimLeadership(r *call) (any, error) {
	var in struct {
		Params []struct {
			Application string  `json:"application-tag"`
			Duration    float64 `json:"duration"` // seconds
		} `json:"params"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Params))
	for i, p := range in.Params {
		a, err := r.application(p.Application)
		if err != nil {
			out[i] = failure(err)
			continue
		}
		before := a.lease.holder
		granted, freed := a.lease.claim(r.unit.name, time.Duration(p.Duration*float64(time.Second)), time.Now())
		if freed || a.lease.holder != before {
			r.c.changedLocked()
		}
		out[i] = struct{}{}
		if !granted {
			out[i] = failure(&apiError{Message: "leadership claim denied", Code: codeClaimDenied})
		}
	}
	return results(out), nil
}

// blockUntilReleased answers once the calling unit has a chance to get the lease.
func blockUntilReleased(r *call) (any, error) {
	a := r.c.apps[r.unit.app]
	for {
		now := time.Now()
		if a.lease.free(r.unit.name, now) {
			return struct{}{}, nil
		}
		wait := time.Until(a.lease.expires)
		if wait < 50*time.Millisecond { // a successor elsewhere is about to claim
			wait = 50 * time.Millisecond
		}
		if err := r.wait(wait); err != nil {
			return nil, err
		}
	}
}

// mergeLeaderData and readLeaderData serve leader-set and leader-get (Juju 2.9 to 3.6).
func mergeLeaderData(r *call) (any, error) {
	var in struct {
		Params []struct {
			Application string            `json:"application-tag"`
			Settings    map[string]string `json:"settings"`
		} `json:"params"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Params))
	for i, p := range in.Params {
		a, err := r.application(p.Application)
		if err == nil && r.c.leaderLocked(a) != r.unit.name {
			err = errPermission
		}
		if err != nil {
			out[i] = failure(err)
			continue
		}
		d := databag{values: a.leaderData}
		d.merge(p.Settings)
		a.leaderVersion += int(d.version)
		r.c.changedLocked()
		out[i] = struct{}{}
	}
	return results(out), nil
}

func readLeaderData(r *call) (any, error) {
	return r.eachApplication(func(a *application) (any, error) {
		return map[string]any{"settings": a.leaderData}, nil
	})
}
