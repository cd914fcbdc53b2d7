package controller

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// commitHook applies everything a hook left, or nothing of it.
func commitHook(r *call) (any, error) {
	var in struct {
		Args []commitArg `json:"args"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Args))
	for i, a := range in.Args {
		out[i] = struct{}{}
		if err := r.commit(a); err != nil {
			out[i] = failure(err)
		}
	}
	return results(out), nil
}

type commitPort struct {
	Protocol string `json:"protocol"`
	From     int    `json:"from-port"`
	To       int    `json:"to-port"`
	Endpoint string `json:"endpoint"`
}

type commitArg struct {
	Tag           string `json:"tag"`
	UpdateNetwork bool   `json:"update-network-info"`
	Settings      []struct {
		Relation    string            `json:"relation"`
		Unit        map[string]string `json:"settings"`
		Application map[string]string `json:"application-settings"`
	} `json:"relation-unit-settings"`
	Open  []commitPort `json:"open-ports"`
	Close []commitPort `json:"close-ports"`
	State *stateArg    `json:"unit-state"`
}

func (r *call) commit(a commitArg) error {
	u := r.unit
	if a.Tag != unitTag(u.name) {
		return errPermission
	}
	rels := make([]*relation, len(a.Settings))
	for i, s := range a.Settings {
		rel, err := r.relation(s.Relation)
		if err != nil {
			return err
		}
		if len(s.Unit) > 0 && rel.data[u.name] == nil {
			return settingsNotFound(rel, u.name)
		}
		if len(s.Application) > 0 && r.c.leaderLocked(r.c.apps[u.app]) != u.name {
			msg := fmt.Sprintf("checking leadership continuity: %q is not leader of %q", u.name, u.app)
			return &apiError{Message: msg, Code: codeNotLeader}
		}
		rels[i] = rel
	}
	before := slices.Clone(u.ports)
	for _, p := range a.Close {
		u.close(portRange{p.Endpoint, p.Protocol, p.From, p.To})
	}
	for _, p := range a.Open {
		pr := portRange{p.Endpoint, p.Protocol, p.From, p.To}
		if err := r.c.conflictLocked(u, pr); err != nil {
			u.ports = before
			return &apiError{Message: "cannot open " + strconv.Quote(pr.String()) + ": " + err.Error()}
		}
		u.open(pr)
	}
	// Juju works out what a hook changed, and the unit's own addresses that it puts back
	// at the end of config-changed, from the databags as they were: the same value
	// published again does not undo the latter (updateUnitNetworkInfoOperation).
	was := make([]map[string]string, len(a.Settings))
	for i, s := range a.Settings {
		if len(s.Unit) > 0 {
			was[i] = maps.Clone(rels[i].data[u.name].values)
		}
	}
	if a.UpdateNetwork {
		for _, rel := range r.c.relations {
			if rel.members[u.name] {
				r.c.publishAddressLocked(rel, u)
			}
		}
	}
	for i, s := range a.Settings {
		if len(s.Unit) > 0 {
			rels[i].data[u.name].merge(changed(was[i], s.Unit))
		}
		if len(s.Application) > 0 {
			rels[i].appData[u.app].merge(s.Application)
		}
	}
	if a.State != nil {
		u.state.apply(*a.State)
	}
	r.c.changedLocked()
	return nil
}

// changed returns those settings that differ from what was stored.
func changed(was, settings map[string]string) map[string]string {
	differ := map[string]string{}
	for k, v := range settings {
		if was[k] != v {
			differ[k] = v
		}
	}
	return differ
}
