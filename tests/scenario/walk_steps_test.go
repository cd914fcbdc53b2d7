package scenario_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// transition is one kind of thing that may happen; do says what it was.
type transition struct {
	kind     string
	weight   int
	possible func(*walker) bool
	do       func(*walker) string
}

// mostMachines and leastMachines bound how many units the walk has.
const mostMachines, leastMachines = 4, 2

// staggeredKind are options that the units learn of one after the other.
const staggeredKind = "options one by one"

func transitions() []transition {
	all := []transition{
		{staggeredKind, 5, nil, (*walker).staggered},
		{"hook killed", 4, func(w *walker) bool { return len(w.alive()) > 0 }, (*walker).killsHook},
		{"service stops", 3, (*walker).somebodyWell, func(w *walker) string {
			return w.breakService(stopped, "systemctl stop haproxy.service")
		}},
		{"service hangs", 2, (*walker).somebodyWell, func(w *walker) string {
			return w.breakService(hung, "systemctl kill --signal=STOP haproxy.service")
		}},
		{"service returns", 5, func(w *walker) bool { return len(w.ill()) > 0 }, (*walker).repairService},
		{"keepalived killed", 2, nil, func(w *walker) string { return w.kill("keepalived.service") }},
		{"checker killed", 2, nil, func(w *walker) string { return w.kill("keepalived-checker-keepalived.service") }},
		{"leader changes", 1, nil, (*walker).changeLeader},
		{"power lost", 4, func(w *walker) bool { return len(w.alive()) > 1 }, (*walker).cutPower},
		{"power returns", 6, func(w *walker) bool { return len(w.dark) > 0 }, (*walker).restorePower},
		{"unit joins", 1, func(w *walker) bool { return len(w.members()) < mostMachines }, (*walker).join},
		{"unit leaves", 1, func(w *walker) bool { return len(w.alive()) > leastMachines }, (*walker).leave},
	}
	for kind, o := range optionChanges() {
		all = append(all, transition{kind, o.weight, nil, func(w *walker) string {
			changed := o.pick(w)
			w.set(changed)
			return fmt.Sprint(changed)
		}})
	}
	slices.SortFunc(all, func(a, b transition) int { return strings.Compare(a.kind, b.kind) })
	return all
}

// optionChange picks new values of options that belong together.
type optionChange struct {
	weight int
	pick   func(*walker) map[string]string
}

func optionChanges() map[string]optionChange {
	choose := func(weight int, option string, values ...string) optionChange {
		return optionChange{weight, func(w *walker) map[string]string { return map[string]string{option: one(w, values...)} }}
	}
	return map[string]optionChange{
		"virtual_ip":           {5, (*walker).pickAddresses},
		"router_id":            choose(3, "router_id", "1", "23", "51", "255"),
		"port":                 choose(1, "port", "443", "8080", "8443"),
		"vip_hostname":         choose(1, "vip_hostname", "", "api.example.com", "www.example.com"),
		"preempt":              choose(1, "preempt", "false", "true"),
		"all_unhealthy":        choose(1, "all_unhealthy", "drop", "keep", "keep"),
		"vrrp_mode":            choose(3, "vrrp_mode", "multicast", "unicast"),
		"status_notifications": choose(1, "status_notifications", "false", "true"),
		"healthcheck":          {3, (*walker).pickCheck},
		"advert_interval": {3, func(w *walker) map[string]string {
			return map[string]string{"advert_interval": one(w, "0.1", "0.2", "0.5", "1"), "vrrp_version": "auto"}
		}},
		"vrrp_version": {1, func(w *walker) map[string]string {
			version := one(w, "2", "3")
			if !hasIPv4(w.options["virtual_ip"]) {
				version = "3"
			}
			return map[string]string{"advert_interval": "1", "vrrp_version": version}
		}},
	}
}

// walkAddresses are the virtual IPs to choose from.
var walkAddresses = []string{lab.VIP.String(), otherVIP.String(), "10.10.74.252", "fd00:74::250", "fd00:74::251"}

// pickAddresses picks one to four addresses, lab.VIP nearly always among them.
func (w *walker) pickAddresses() map[string]string {
	list := slices.Clone(walkAddresses)
	w.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:1+w.random.IntN(4)]
	if !slices.Contains(list, lab.VIP.String()) && w.random.IntN(6) > 0 {
		list[0] = lab.VIP.String()
	}
	if w.options["vrrp_version"] == "2" && !hasIPv4(strings.Join(list, ",")) {
		list[0] = lab.VIP.String()
	}
	return map[string]string{"virtual_ip": strings.Join(list, ",")}
}

// hasIPv4 tells whether VRRP version 2 can serve these addresses.
func hasIPv4(addresses string) bool { return strings.Contains(addresses, ".") }

func (w *walker) pickCheck() map[string]string {
	check := map[string]string{
		"healthcheck_type": one(w, "tcp", "tcp", "http", "unit", "none"), "healthcheck_target": "",
		"healthcheck_interval": one(w, "1", "2"), "healthcheck_timeout": one(w, "0.5", "1"),
		"healthcheck_fall": one(w, "1", "2", "3"), "healthcheck_rise": one(w, "1", "2"),
	}
	if check["healthcheck_type"] == "unit" {
		check["healthcheck_target"] = "haproxy.service"
	}
	return check
}

// pickOptions picks a change of options at random.
func (w *walker) pickOptions() map[string]string {
	all := optionChanges()
	return all[one(w, slices.Sorted(maps.Keys(all))...)].pick(w)
}

func (w *walker) set(options map[string]string) {
	w.t.Helper()
	maps.Copy(w.options, options)
	for name := range options {
		w.touched[name] = true
	}
	require.NoError(w.t, w.SetConfig("keepalived", options))
}

// staggered changes options while some agents do not run, which learn of it later.
func (w *walker) staggered() string {
	late := slices.DeleteFunc(w.alive(), func(string) bool { return w.random.IntN(2) == 0 })
	signal := func(name string) {
		for _, id := range late {
			w.run(w.t, id, "systemctl kill --kill-whom=main --signal="+name+" 'jujud-*'")
		}
	}
	signal("STOP")
	changed := w.pickOptions()
	w.set(changed)
	pause := time.Duration(w.random.IntN(4000)) * time.Millisecond
	time.Sleep(pause)
	signal("CONT")
	return fmt.Sprintf("%v, %v later on machines %v", changed, pause, late)
}

// killsHook changes options and kills the hook on one machine on its way.
func (w *walker) killsHook() string {
	id, changed, after := one(w, w.alive()...), w.pickOptions(), time.Duration(w.random.IntN(150))*time.Millisecond
	m, err := w.Machine(id)
	require.NoError(w.t, err)
	w.set(changed)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		pid, err := find(m, "dispatch")
		if err != nil {
			continue
		}
		time.Sleep(after)
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			return fmt.Sprintf("%v, machine %s, after %v", changed, id, after)
		}
		break
	}
	return fmt.Sprintf("%v, machine %s: its hook was faster", changed, id)
}

// ill are the machines whose service is not well.
func (w *walker) ill() []string {
	return slices.DeleteFunc(w.alive(), func(id string) bool { return w.services[id] == well })
}

func (w *walker) somebodyWell() bool { return len(w.ill()) < len(w.alive()) }

func (w *walker) breakService(how fault, script string) string {
	id := one(w, slices.DeleteFunc(w.alive(), func(id string) bool { return w.services[id] != well })...)
	w.run(w.t, id, script)
	w.services[id] = how
	return "machine " + id
}

func (w *walker) repairService() string {
	id := one(w, w.ill()...)
	w.run(w.t, id, "systemctl kill --signal=CONT haproxy.service || true; systemctl start haproxy.service")
	w.services[id] = well
	return "machine " + id
}

func (w *walker) kill(service string) string {
	id := one(w, w.alive()...)
	// A unit that joins has no such service for a moment.
	w.run(w.t, id, "systemctl kill --signal=KILL "+service+" || true")
	return "machine " + id
}

func (w *walker) changeLeader() string {
	unit := w.unitOn(w.t, one(w, w.alive()...))
	require.NoError(w.t, w.SetLeader(w.ctx, unit))
	return unit
}

func (w *walker) cutPower() string {
	id := one(w, w.alive()...)
	require.NoError(w.t, w.Kill(w.ctx, id))
	w.dark[id], w.services[id] = true, well // it starts with the machine
	return "machine " + id
}

func (w *walker) restorePower() string {
	id := one(w, slices.Sorted(maps.Keys(w.dark))...)
	require.NoError(w.t, w.Heal(w.ctx, id))
	delete(w.dark, id)
	return "machine " + id
}

func (w *walker) join() string {
	require.NoError(w.t, w.AddUnits(w.ctx, "haproxy", 1))
	return "a new machine"
}

func (w *walker) leave() string {
	w.calm() // a unit whose hook failed does not leave
	id := one(w, w.alive()...)
	principal, ok := w.UnitOn("haproxy", id)
	require.True(w.t, ok)
	require.NoError(w.t, w.RemoveUnit(w.ctx, principal))
	delete(w.services, id)
	return "machine " + id
}
