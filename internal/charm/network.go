package charm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/show"
)

// checkNetwork looks for everything that can be wrong on the network. What it finds
// is in the unit's status too, and a unit that a conflict had kept out goes on when
// it is gone.
func checkNetwork(r request) (map[string]string, error) {
	if _, err := decide.Decide(withoutLook(r.configured)); err == nil {
		r.obs = r.configured // a conflict may be all that is in the way
	}
	if want, err := decide.Decide(withoutLook(r.obs)); err != nil {
		return nil, err
	} else if want.Mode != decide.Serving {
		return nil, fmt.Errorf("cannot check the network: %s", statusOf(r.obs).Message)
	}
	if err := look(&r.obs, *decide.AskAll(withoutLook(r.obs)), r.j, r.m); err != nil {
		return nil, err
	}
	report, err := show.Report(r.obs)
	if err != nil {
		return nil, err
	}
	summary, left := report.Summary(r.obs.Event.Unit), fit(&report)
	results := map[string]string{
		"summary":         summary,
		"conflicts":       lines(report.Conflicts, left["conflicts"]),
		"notes":           lines(report.Notes, left["notes"]),
		"interface":       report.Interface,
		"listened":        report.Listened,
		"router-id":       fmt.Sprint(report.RouterID),
		"free-router-id":  fmt.Sprint(report.FreeRouterID),
		"virtual-routers": lines(report.Heard, left["virtual-routers"]),
		"virtual-ips":     lines(report.Addresses, left["virtual-ips"]),
	}
	if err := attach(results, shownReport{report, left}); err != nil {
		return nil, err
	}
	r.passAgain()
	return results, nil
}

// look looks at the network; what cannot be looked at is no fault of the hook's. Who
// is heard may be a unit that Juju has yet to tell of.
func look(obs *facts.Observed, q conflict.Question, j Model, m Machine) error {
	l, err := m.Look(q)
	if err != nil {
		return err
	}
	for _, f := range l.Faults {
		j.Log(f)
	}
	obs.Look = &l
	if obs.Planned == 0 && len(l.Heard)+len(l.Answers) > 0 {
		obs.Planned, err = j.PlannedUnits(endpoint.Principal(), obs.Event.Principal.Application)
	}
	return err
}

// withoutLook is what was observed before anybody looked at the network.
func withoutLook(obs facts.Observed) facts.Observed {
	obs.Look = nil
	return obs
}

// shownReport is the action check-network for programs.
type shownReport struct {
	show.NetworkReport
	// LeftOut counts what had no room, by the name of the list.
	LeftOut map[string]int `json:"left-out"`
}

// fit shortens the lists of a report to what fits into arguments together, what is
// wrong first, and tells how many things it left out.
func fit(r *show.NetworkReport) map[string]int {
	left, room := map[string]int{}, mostText
	r.Faults = first(r.Faults, "faults", &room, left)
	r.Conflicts = first(r.Conflicts, "conflicts", &room, left)
	r.Notes = first(r.Notes, "notes", &room, left)
	r.Heard = first(r.Heard, "virtual-routers", &room, left)
	r.Addresses = first(r.Addresses, "virtual-ips", &room, left)
	return left
}

// first returns the first things of a list for which there is room, as JSON or as
// lines.
func first[T any](list []T, name string, room *int, left map[string]int) []T {
	for n, one := range list {
		text, _ := json.Marshal(one) // what cannot be marshalled, attach tells
		if *room -= 1 + max(len(text), len(fmt.Sprint(one))); *room < 0 {
			*room, left[name] = 0, len(list)-n
			return list[:n]
		}
	}
	return list
}

// lines shows one thing a line, and how many were left out.
func lines[T any](list []T, left int) string {
	var all []string
	for _, one := range list {
		all = append(all, fmt.Sprint(one))
	}
	if left > 0 {
		all = append(all, fmt.Sprintf("and %d more", left))
	}
	return cmp.Or(strings.Join(all, "\n"), "none")
}
