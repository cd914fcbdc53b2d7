package scenario_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// raised are the alerts of a state at some moment of a span, by name.
func (p *prometheus) raised(t *testing.T, matchers string, from, to time.Time) map[string][]lab.Sample {
	t.Helper()
	found, err := p.Query(p.ctx, fmt.Sprintf("ALERTS{%s}[%ds]", matchers, int(time.Since(from).Seconds())+1))
	require.NoError(t, err)
	all := map[string][]lab.Sample{}
	for _, s := range found {
		for _, sample := range s.Samples {
			if !sample.At.Before(from) && !sample.At.After(to) {
				all[s.Labels["alertname"]] = append(all[s.Labels["alertname"]], sample)
			}
		}
	}
	return all
}

// maintenance is done at a paused unit.
func (p *prometheus) maintenance(t *testing.T) {
	p.scenario(t, "a paused unit's service and keepalived are stopped, and no alert even begins", func(t *testing.T) {
		id := p.calm(t)
		unit := p.unitOn(t, id)
		p.act(t, unit, "pause", nil)
		paused := time.Now()
		p.otherHolder(t, id)
		time.Sleep(late())
		from := time.Now()
		p.run(t, id, "systemctl stop haproxy.service keepalived.service")
		time.Sleep(2 * late())
		to := time.Now()
		p.run(t, id, "systemctl start haproxy.service keepalived.service")
		p.ready(t)
		resumed := time.Now()
		p.act(t, unit, "resume", nil)
		p.ready(t)
		time.Sleep(late())

		name := "juju-" + id
		in := func(from, to time.Time) func(time.Time) bool {
			return func(at time.Time) bool { return !at.Before(from) && at.Before(to) }
		}
		believes(t, "paused at "+name, p.stored(t, "keepalived_paused", paused)[name], in(paused, resumed))
		sick := p.stored(t, `keepalived_healthcheck_verdict{verdict="sick"}`, from)[name]
		require.True(t, slices.ContainsFunc(sick, func(s lab.Sample) bool { return s.Value == 1 && s.At.Before(to) }), "the service was seen to fail")
		begun := p.raised(t, "", from, resumed)
		delete(begun, "KeepalivedPausedLong") // in a day
		require.Empty(t, begun, "alerts of %s", unit)
	})
}

// alerts looks back at which fired.
func (p *prometheus) alerts(t *testing.T) {
	p.scenario(t, "of all alerts those fired that should: it moved often, and keepalived began anew often", func(t *testing.T) {
		var fired []string
		for name := range p.raised(t, `alertstate="firing"`, p.began, time.Now()) {
			fired = append(fired, name)
		}
		slices.Sort(fired)
		require.Equal(t, []string{"KeepalivedMovesOften", "KeepalivedRestarts"}, fired)
	})
}

// lasting faults take minutes, as the alerts' own times do: only where all is tried.
func (p *prometheus) lastingFaults(t *testing.T) {
	if os.Getenv("LAB_PART") != "" {
		return
	}
	const minute = 70 * time.Second
	everywhere := func(t *testing.T, script string) {
		for _, unit := range p.units() {
			p.run(t, p.machineOf(t, unit), script)
		}
	}
	for _, f := range []struct {
		claim      string
		begin, end func(t *testing.T, holder string)
		fire       []string
	}{
		{"a dead machine is no second holder",
			func(t *testing.T, holder string) { require.NoError(t, p.Kill(p.ctx, holder)) },
			func(t *testing.T, holder string) { p.heal(t, holder) }, nil},
		{"keepalived runs nowhere",
			func(t *testing.T, _ string) { everywhere(t, "systemctl mask --quiet --now keepalived.service") },
			func(t *testing.T, _ string) { everywhere(t, "systemctl unmask --quiet keepalived.service") },
			[]string{"KeepalivedDown", "KeepalivedNoHolder"}},
		{"the service works nowhere",
			func(t *testing.T, _ string) { everywhere(t, "systemctl stop haproxy.service") },
			func(t *testing.T, _ string) { everywhere(t, "systemctl start haproxy.service") },
			[]string{"KeepalivedChecksFailEverywhere"}},
		{"no machine hears an advertisement",
			func(t *testing.T, _ string) {
				p.filter(t, "add table ip lab; add chain ip lab in { type filter hook input priority 0; }; add rule ip lab in ip protocol 112 drop")
			},
			func(t *testing.T, _ string) { p.filter(t, "delete table ip lab") },
			[]string{"KeepalivedTwoHolders"}},
	} {
		p.scenario(t, "alerts that fire after a minute: "+f.claim, func(t *testing.T) {
			holder := p.calm(t)
			from := time.Now()
			before := p.raised(t, `alertstate="firing"`, from.Add(-2*late()), from)
			f.begin(t, holder)
			time.Sleep(minute + 2*late())
			fired := p.raised(t, `alertstate="firing"`, from, time.Now())
			f.end(t, holder)
			p.updateStatus(t)
			p.ready(t)
			var names []string
			for name := range fired {
				if before[name] == nil {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			require.Equal(t, f.fire, names)
		})
	}
}

// filter has nftables at every machine's kernel do something, from outside.
func (p *prometheus) filter(t *testing.T, commands string) {
	t.Helper()
	for _, m := range p.Net.Machines() {
		out, err := p.Net.CommandAt(p.ctx, m.Port(), "nft", commands).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

// dashboard asks what Grafana would.
func (p *prometheus) dashboard(t *testing.T) {
	p.scenario(t, "every query of the dashboard finds something", func(t *testing.T) {
		text, err := os.ReadFile("../../internal/cos/dashboard.json")
		require.NoError(t, err)
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		require.NoError(t, json.Unmarshal(text, &board))
		require.NotEmpty(t, board.Panels)
		variable := regexp.MustCompile(`\$juju_\w+`)
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				expr := strings.ReplaceAll(variable.ReplaceAllString(target.Expr, ".*"), "$__rate_interval", "1m")
				found, err := p.Range(p.ctx, expr, p.began, time.Now(), 5*time.Second)
				require.NoError(t, err, panel.Title)
				require.NotEmpty(t, found, "%s: %s", panel.Title, expr)
			}
		}
	})
}
