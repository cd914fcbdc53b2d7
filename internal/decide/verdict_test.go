package decide_test

import (
	"maps"
	"os"
	"testing"

	"github.com/juju/charm/v12/hooks"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/plan"
	"keepalived-charm/internal/show"
)

// withPeer is observed with one peer that serves and says this of its check.
func withPeer(healthy string, check facts.CheckResult) facts.Observed {
	o := decidetest.Observed()
	o.Machine.Check = check
	o.Relations[2].Members[juju.Unit{Application: "keepalived", Number: 1}] = facts.ReadMember(juju.Databag{
		"principal": "haproxy/1", "rank": "1", "healthy": healthy,
		"protocol": "1", "vrrp": "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112"})
	return o
}

func TestTheVerdictIsTold(t *testing.T) {
	yes, no := facts.CheckResult{Known: true, Healthy: true}, facts.CheckResult{Known: true, Reason: "refused"}
	for claim, c := range map[string]struct {
		check facts.CheckResult
		own   string
		event juju.Event
		want  string // empty: nothing is told
	}{
		"a first one":                         {yes, "", juju.Event{Hook: hooks.ConfigChanged}, "true"},
		"one that turned":                     {no, "true", juju.Event{Hook: hooks.UpdateStatus}, "false"},
		"not one that stays":                  {no, "false", juju.Event{Hook: hooks.UpdateStatus}, ""},
		"not to answer what another one told": {no, "true", juju.Event{Hook: hooks.RelationChanged, Endpoint: endpoint.Cluster}, ""},
	} {
		t.Run(claim, func(t *testing.T) {
			o := withPeer("true", c.check)
			c.event.Unit, c.event.Principal = o.Event.Unit, o.Event.Principal
			o.Event = c.event
			o.Relations[2].Own = juju.Databag{"healthy": c.own}
			d, err := decidetest.Desire(o)
			require.NoError(t, err)
			d.TellVerdict(o)
			require.Equal(t, c.want, d.Publish[o.Relations[2].ID]["healthy"])
		})
	}
	t.Run("a unit without a virtual IP takes it back", func(t *testing.T) {
		o := withPeer("true", facts.CheckResult{})
		o.Options.Raw["virtual_ip"] = ""
		o.Relations[2].Own = juju.Databag{"healthy": "true"}
		d, err := decidetest.Desire(o)
		require.NoError(t, err)
		d.TellVerdict(o)
		value, told := d.Publish[o.Relations[2].ID]["healthy"]
		require.True(t, told)
		require.Empty(t, value)
	})
}

func TestACheckThatFailsEverywhereQuestionsItsTarget(t *testing.T) {
	no := facts.CheckResult{Known: true, Reason: "refused"}
	for claim, c := range map[string]struct {
		peer    string
		check   facts.CheckResult
		options map[string]any
		want    string
	}{
		"everywhere":                  {"false", no, nil, "; check fails on every unit: is port 443 right? Here: refused"},
		"another port":                {"false", no, map[string]any{"port": 80}, "; check fails on every unit: is port 80 right? Here: refused"},
		"a target":                    {"false", no, map[string]any{"healthcheck_target": "10.0.0.1:80"}, "is healthcheck_target 10.0.0.1:80 right?"},
		"a unit":                      {"false", no, map[string]any{"healthcheck_type": "unit", "healthcheck_target": "a.service"}, "is healthcheck_target a.service right?"},
		"here only":                   {"true", no, nil, "; check fails here: refused: juju run keepalived/0 run-checks"},
		"a peer said nothing":         {"", no, nil, "; check fails here: refused: juju run keepalived/0 run-checks"},
		"a peer speaks in riddles":    {"maybe", no, nil, "; check fails here: refused: juju run keepalived/0 run-checks"},
		"a checker that does not run": {"true", facts.CheckResult{Silent: true}, nil, "; the health checker is silent: see journalctl -u keepalived-checker-keepalived.service"},
		"elsewhere only":              {"false", facts.CheckResult{Known: true, Healthy: true}, nil, ""},
	} {
		t.Run(claim, func(t *testing.T) {
			o := withPeer(c.peer, c.check)
			for k, v := range c.options {
				o.Options.Raw[k] = v
			}
			d, err := decidetest.Desire(o)
			require.NoError(t, err)
			o.Machine.Instances = []keepalived.InstanceState{{Name: d.Layout.Instance(), State: keepalived.Backup}}
			message := show.Status(d, o.Machine).Message
			require.Contains(t, message, c.want)
			if c.want == "" {
				require.NotContains(t, message, "check")
			}
		})
	}
}

func TestTheCAIsAFileThatTheCheckerReads(t *testing.T) {
	ca, err := os.ReadFile("testdata/ca.pem")
	require.NoError(t, err)
	o := decidetest.Observed()
	o.Options.Raw["healthcheck_type"], o.Options.Raw["healthcheck_ca"], o.Options.Raw["status_notifications"] = "https", string(ca), false
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	require.Equal(t, string(ca), d.Files[d.Layout.CheckerCA()])
	c, err := healthcheck.Parse([]byte(d.Files[d.Layout.CheckerConfig()]))
	require.NoError(t, err)
	require.Equal(t, d.Layout.CheckerCA(), c.Check.CA)

	o.Machine.Files = maps.Clone(d.Files)
	o.Machine.Version, o.Machine.Active, o.Machine.CheckerActive, o.Machine.BinaryCurrent = "2.2.7", true, true, true
	require.Empty(t, plan.Steps(d, o), "nothing is left to do")
	o.Machine.Files[d.Layout.CheckerCA()] = "another"
	var said []string
	for _, s := range plan.Steps(d, o) {
		said = append(said, s.String())
	}
	require.Equal(t, []string{"owe restart-checker", "write " + d.Layout.CheckerCA(), "do restart-checker"}, said)

	o.Options.Raw["healthcheck_type"] = "tcp"
	d, err = decidetest.Desire(o)
	require.NoError(t, err)
	require.NotContains(t, d.Files, d.Layout.CheckerCA())
}
