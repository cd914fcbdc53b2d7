package cos_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/cos"
	"keepalived-charm/internal/needs"
)

// steps is how many samples there are of every series, one each 30 s: 45 minutes.
const steps = 90

// story is what three units told Prometheus: a series has samples as promtool writes them.
type story struct {
	steps  int
	series map[string]string
}

// say sets a series of a unit.
func (s story) say(unit int, series, values string) {
	s.series[s.name(unit, series)] = values
}

func (s story) name(unit int, series string) string {
	return fmt.Sprintf(series, fmt.Sprintf(`juju_model="prod",juju_model_uuid=%q,juju_application="keepalived",juju_unit="keepalived/%d"`, prod.ModelUUID, unit))
}

// always is a value in all samples, from the first or from one on.
func (s story) always(value int) string { return fmt.Sprintf("%d+0x%d", value, s.steps) }

func (s story) from(step, before, after int) string {
	return fmt.Sprintf("%d+0x%d %d+0x%d", before, step-1, after, s.steps-step)
}

// The series, as story.say takes them.
const (
	present = `keepalived_vip_present{%s,vip="10.10.74.250",iname="charm_keepalived"}`
	holder  = `keepalived_vrrp_role{%s,iname="charm_keepalived",role="holder"}`
	standby = `keepalived_vrrp_role{%s,iname="charm_keepalived",role="standby"}`
	healthy = `keepalived_healthcheck_verdict{%s,verdict="healthy"}`
	sick    = `keepalived_healthcheck_verdict{%s,verdict="sick"}`
	moving  = `keepalived_agreement_moving{%s}`
	waiting = `keepalived_agreement_waiting{%s}`
	finding = `keepalived_findings{%s,kind="address"}`
	upHere  = `keepalived_up{%s}`
	pausedM = `keepalived_paused{%s}`
	restart = `keepalived_restarts_total{%s}`
	seen    = `keepalived_vrrp_holder_seen{%s,iname="charm_keepalived"}`
	gained  = `keepalived_become_master_total{%s,iname="charm_keepalived",cause="released"}`
	scraped = `up{%s,job="keepalived_metrics"}`
)

func all() []string {
	return []string{present, holder, standby, healthy, sick, moving, waiting, finding, upHere, pausedM, seen, restart, gained, scraped}
}

// quiet is the story of units that do well; the first holds.
func quiet(units, steps int) story {
	s := story{steps, map[string]string{}}
	for u := range units {
		for _, series := range all() {
			s.say(u, series, s.always(0))
		}
		for _, series := range []string{standby, healthy, upHere, scraped, seen} {
			s.say(u, series, s.always(1))
		}
	}
	s.say(0, present, s.always(1))
	s.say(0, holder, s.always(1))
	s.say(0, standby, s.always(0))
	return s
}

// gone takes a unit's machine away, with the collector on it: nobody says that the series end,
// and Prometheus takes the last samples for five minutes more.
func (s story) gone(unit, step int) {
	for _, series := range all() {
		first, _, _ := strings.Cut(s.series[s.name(unit, series)], "+")
		s.say(unit, series, fmt.Sprintf("%s+0x%d _x%d", first, step-1, s.steps-step))
	}
}

// stale ends a series of a unit, which has its first value until then.
func (s story) stale(unit int, series string, step int) {
	first, _, _ := strings.Cut(s.series[s.name(unit, series)], "+")
	s.say(unit, series, fmt.Sprintf("%s+0x%d stale", first, step-1))
}

// moves has the virtual IP go from the first unit to the second.
func (s story) moves(step int) {
	for series, values := range map[string][2]string{
		present: {s.from(step, 1, 0), s.from(step, 0, 1)}, holder: {s.from(step, 1, 0), s.from(step, 0, 1)},
		standby: {s.from(step, 0, 1), s.from(step, 1, 0)}, gained: {s.always(0), s.from(step, 0, 1)},
	} {
		s.say(0, series, values[0])
		s.say(1, series, values[1])
	}
}

// paused has an operator pause a unit, and it takes no part.
func (s story) paused(unit, from, to int) {
	during := fmt.Sprintf("0+0x%d 1+0x%d 0+0x%d", from-1, to-from-1, s.steps-to)
	apart := fmt.Sprintf("1+0x%d 0+0x%d 1+0x%d", from-1, to-from-1, s.steps-to)
	s.say(unit, pausedM, during)
	s.say(unit, standby, apart)
}

func TestAlerts(t *testing.T) {
	needs.Time(t)
	t.Parallel()
	fired := map[string]bool{}
	// By the interval of the samples.
	tests := map[string][]map[string]any{}
	tell := func(name string, s story, want ...string) {
		var input []map[string]string
		for series, values := range s.series {
			input = append(input, map[string]string{"series": series, "values": values})
		}
		slices.SortFunc(input, func(a, b map[string]string) int {
			if a["series"] < b["series"] {
				return -1
			}
			return 1
		})
		var samples []map[string]any
		counts := map[string]int{}
		for _, alert := range want {
			counts[alert]++
			fired[alert] = true
		}
		for alert, n := range counts {
			samples = append(samples, map[string]any{"labels": fmt.Sprintf("{alertname=%q}", alert), "value": n})
		}
		// A story of more than a day has one in 10 minutes.
		step, seconds := "30s", 30
		if slices.Contains(want, "KeepalivedPausedLong") {
			step, seconds = "10m", 600
		}
		tests[step] = append(tests[step], map[string]any{"name": name, "interval": step, "input_series": input, "promql_expr_test": []any{map[string]any{
			// Whatever fired at any time.
			"expr":      fmt.Sprintf(`max by (alertname) (max_over_time((count by (alertname) (ALERTS{alertstate="firing"}))[%ds:%s]))`, seconds*s.steps, step),
			"eval_time": fmt.Sprintf("%ds", seconds*s.steps), "exp_samples": samples}}})
	}
	each := func(s story, units []int, series, values string) story {
		for _, u := range units {
			s.say(u, series, values)
		}
		return s
	}
	with := func(do func(s story)) story {
		s := quiet(3, steps)
		do(s)
		return s
	}
	everyone := []int{0, 1, 2}

	// Faults.
	tell("nobody holds", each(quiet(3, steps), everyone, present, story{steps: steps}.from(20, 0, 0)), "KeepalivedNoHolder")
	tell("two hold", with(func(s story) { s.say(1, present, s.from(20, 0, 1)) }), "KeepalivedTwoHolders")
	tell("it moves back and forth", with(func(s story) { s.say(1, gained, fmt.Sprintf("0+0x20 1+1x8 9+0x%d", s.steps-30)) }), "KeepalivedMovesOften")
	tell("a check fails at a standby of three", with(func(s story) {
		s.say(2, sick, s.from(20, 0, 1))
		s.say(2, healthy, s.from(20, 1, 0))
	}), "KeepalivedCheckFails")
	tell("all checks fail", with(func(s story) {
		each(s, everyone, sick, s.from(20, 0, 1))
		each(s, everyone, healthy, s.from(20, 1, 0))
	}), "KeepalivedCheckFails", "KeepalivedCheckFails", "KeepalivedCheckFails", "KeepalivedChecksFailEverywhere", "KeepalivedNoStandby")
	tell("one machine of two is lost", func() story {
		s := quiet(2, steps)
		s.moves(20)
		s.gone(0, 20)
		return s
	}(), "KeepalivedNoStandby")
	tell("the holder's machine dies, and nobody takes over: it is known within two minutes", func() story {
		s := quiet(3, 24)
		s.gone(0, 20)
		return s
	}(), "KeepalivedNoHolder")
	tell("the last machine with a healthy service dies", with(func(s story) {
		each(s, []int{1, 2}, sick, s.from(5, 0, 1))
		each(s, []int{1, 2}, healthy, s.from(5, 1, 0))
		s.gone(0, 20)
	}), "KeepalivedNoHolder", "KeepalivedCheckFails", "KeepalivedCheckFails", "KeepalivedChecksFailEverywhere", "KeepalivedNoStandby")
	tell("both standbys of three are lost", with(func(s story) { s.gone(1, 20); s.gone(2, 30) }), "KeepalivedNoStandby")
	tell("all machines are lost", with(func(s story) {
		for _, u := range everyone {
			s.gone(u, 20)
		}
	}), "KeepalivedSilent")
	tell("a change is stuck", with(func(s story) {
		each(s, everyone, moving, s.from(20, 0, 1))
		s.say(1, waiting, s.from(20, 0, 1))
	}), "KeepalivedChangeStuck", "KeepalivedChangeStuck", "KeepalivedChangeStuck")
	tell("a stranger answers", with(func(s story) { s.say(1, finding, s.from(20, 0, 1)) }), "KeepalivedFinding")
	tell("keepalived is down at a standby", with(func(s story) {
		s.say(1, upHere, s.from(20, 1, 0))
		s.say(1, standby, s.from(20, 1, 0))
	}), "KeepalivedDown")
	tell("keepalived ends again and again", with(func(s story) { s.say(1, restart, fmt.Sprintf("0+0x20 1+1x10 11+0x%d", s.steps-32)) }), "KeepalivedRestarts")
	silent := func(s story, unit int) {
		for _, series := range all() {
			s.stale(unit, series, 20)
		}
		s.say(unit, scraped, s.from(20, 1, 0))
	}
	tell("a standby's health checker is down", with(func(s story) { silent(s, 1) }), "KeepalivedMetricsGone")
	tell("the holder's health checker is down, and the others hear it hold", with(func(s story) { silent(s, 0) }), "KeepalivedMetricsGone")
	tell("the holder's health checker is down, and nobody holds", with(func(s story) {
		silent(s, 0)
		each(s, []int{1, 2}, seen, s.from(25, 1, 0))
	}), "KeepalivedMetricsGone", "KeepalivedNoHolder")
	tell("a unit is paused and forgotten", func() story {
		s := quiet(3, 200)
		s.paused(1, 10, 190)
		return s
	}(), "KeepalivedPausedLong")

	// Maintenance, and faults that the units put right.
	tell("nothing happens", quiet(3, steps))
	tell("a single unit", quiet(1, steps))
	tell("the holder's machine dies, and nobody needs to do anything", with(func(s story) { s.moves(20); s.gone(0, 20) }))
	tell("a failover that an operator asked for", with(func(s story) { s.moves(20) }))
	tell("a scrape in the middle of a move finds nobody", with(func(s story) {
		s.say(0, present, fmt.Sprintf("1+0x19 0 1+0x%d", s.steps-21))
	}))
	tell("a scrape in the middle of a move finds two", with(func(s story) {
		s.say(1, present, fmt.Sprintf("0+0x19 1 0+0x%d", s.steps-21))
	}))
	tell("one of two is paused for half an hour", func() story {
		s := quiet(2, steps)
		s.paused(1, 20, 70)
		return s
	}())
	tell("a paused unit's service and keepalived are stopped", with(func(s story) {
		s.paused(1, 20, 70)
		stopped := fmt.Sprintf("1+0x21 0+0x44 1+0x%d", s.steps-67)
		s.say(1, healthy, stopped)
		s.say(1, upHere, stopped)
		s.say(1, sick, fmt.Sprintf("0+0x21 1+0x44 0+0x%d", s.steps-67))
		s.say(1, finding, fmt.Sprintf("0+0x21 1+0x44 0+0x%d", s.steps-67))
	}))
	tell("all units are paused", with(func(s story) {
		for _, u := range everyone {
			s.paused(u, 20, 70)
		}
		s.say(0, present, fmt.Sprintf("1+0x19 0+0x49 1+0x%d", s.steps-70))
		s.say(0, holder, fmt.Sprintf("1+0x19 0+0x49 1+0x%d", s.steps-70))
	}))
	tell("machines are upgraded one after the other", with(func(s story) {
		s.moves(20)
		for _, u := range everyone {
			// Each is away for three minutes.
			at := 20 + 20*u
			for _, series := range []string{healthy, upHere, standby, scraped} {
				s.say(u, series, fmt.Sprintf("1+0x%d stale _x4 1+0x%d", at-1, s.steps-at-6))
			}
			s.say(u, holder, s.always(0))
		}
		s.say(1, holder, s.from(20, 0, 1))
	}))
	tell("an option that all units share is changed", with(func(s story) {
		each(s, everyone, moving, fmt.Sprintf("0+0x19 1+0x30 0+0x%d", s.steps-51))
	}))
	tell("a service restarts for a minute", with(func(s story) {
		s.say(2, sick, fmt.Sprintf("0+0x19 1+0x1 0+0x%d", s.steps-22))
		s.say(2, healthy, fmt.Sprintf("1+0x19 0+0x1 1+0x%d", s.steps-22))
	}))

	for _, a := range cos.Alerts() {
		require.True(t, fired[a.Name], "%s has a story in which it fires", a.Name)
	}
	promtool := needs.Program(t, "promtool")
	rules := write(t, "rules.json", read(t, prod).MetricsAlertRules)
	for step, list := range tests {
		file := write(t, "tests.json", map[string]any{"rule_files": []string{rules}, "evaluation_interval": step, "tests": list})
		said, err := exec.Command(promtool, "test", "rules", file).CombinedOutput()
		require.NoError(t, err, string(said))
	}
}
