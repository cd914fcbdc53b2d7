package charm

import (
	"fmt"
	"strings"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/reconcile"
)

// checkNetwork looks for everything that can be wrong on the network. What it finds
// is in the unit's status too, and a unit that a conflict had kept out goes on when
// it is gone.
func checkNetwork(r request) (map[string]string, error) {
	if want, err := reconcile.Desire(withoutLook(r.obs)); err != nil {
		return nil, err
	} else if want.Mode != reconcile.Serving {
		return nil, fmt.Errorf("cannot check the network: %s", status(r.obs).Message)
	}
	if err := look(&r.obs, *reconcile.AskAll(withoutLook(r.obs)), r.j, r.m); err != nil {
		return nil, err
	}
	report, err := reconcile.Report(r.obs)
	if err != nil {
		return nil, err
	}
	unit := r.obs.Event.Unit
	results := map[string]string{
		"summary":         report.Summary(unit),
		"conflicts":       lines(report.Conflicts),
		"notes":           lines(report.Notes),
		"interface":       report.Interface,
		"listened":        report.Listened,
		"router-id":       fmt.Sprint(report.RouterID),
		"free-router-id":  fmt.Sprint(report.FreeRouterID),
		"virtual-routers": lines(report.Heard),
		"virtual-ips":     lines(report.Addresses),
	}
	if err := attach(results, report); err != nil {
		return nil, err
	}
	r.look()
	return results, nil
}

// look looks at the network; what cannot be looked at is no fault of the hook's. Who
// is heard may be a unit that Juju has yet to tell of.
func look(obs *reconcile.Observed, q conflict.Question, j Model, m Machine) error {
	l, err := m.Look(q)
	if err != nil {
		return err
	}
	for _, f := range l.Faults {
		j.Log(f)
	}
	obs.Look = &l
	if obs.Planned == 0 && len(l.Heard)+len(l.Answers) > 0 {
		obs.Planned, err = j.PlannedUnits(endpoint.JujuInfo, obs.Event.Principal.Application)
	}
	return err
}

// withoutLook is what was observed before anybody looked at the network.
func withoutLook(obs reconcile.Observed) reconcile.Observed {
	obs.Look = nil
	return obs
}

// lines shows one thing a line.
func lines[T any](list []T) string {
	if len(list) == 0 {
		return "none"
	}
	var all []string
	for _, one := range list {
		all = append(all, fmt.Sprint(one))
	}
	return strings.Join(all, "\n")
}
