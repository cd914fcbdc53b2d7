package charm_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/vrrp"
)

// served is where an application's health checker is to serve metrics on a machine.
func served(t *testing.T, h charmtest.Host, application string) healthcheck.Metrics {
	t.Helper()
	c, err := healthcheck.Parse([]byte(h.Files[layout.Layout{Application: application}.CheckerConfig()]))
	require.NoError(t, err)
	return c.Metrics
}

// TestThePortOfTheMetrics: the option's, else the next free one, which stays.
func TestThePortOfTheMetrics(t *testing.T) {
	s := serving(t)
	require.Equal(t, healthcheck.Metrics{Port: 9165, Link: "eth0", Hook: "/run/keepalived-charm/keepalived/hook.json"}, served(t, s.Host, "keepalived"))
	taken := func(ports ...int) func(*charmtest.State) {
		return func(s *charmtest.State) { s.Host.Ports = ports }
	}
	for _, c := range []struct {
		claim  string
		option int
		taken  []int
		want   int
	}{
		{"no metrics", 0, nil, 0},
		{"another one", 9300, nil, 9300},
		{"one for root alone", 80, nil, 80},
		{"the next free one", 9165, []int{9165, 9166}, 9167},
		{"from the option on", 9166, []int{9166, 9168}, 9167},
		{"up to 9180", 9165, []int{9165, 9166, 9167, 9168, 9169, 9170, 9171, 9172, 9173, 9174, 9175, 9176, 9177, 9178, 9179}, 9180},
		{"the last port there is", 65535, []int{65535}, 65535},
	} {
		out := run(t, with(option(s, "metrics_port", c.option), taken(c.taken...)), "config-changed")
		require.Equal(t, c.want, served(t, out.Host, "keepalived").Port, c.claim)
		require.Equal(t, c.want == 80, strings.Contains(out.Host.Files[layout.Layout{Application: "keepalived"}.CheckerUnit()], "CAP_NET_BIND_SERVICE"), c.claim)
		require.Empty(t, charmtest.Run(t, "update-status", out).Steps, "%s: a second hook changes nothing", c.claim)
	}
	moved := run(t, with(s, taken(9165)), "update-status")
	require.Equal(t, 9166, served(t, moved.Host, "keepalived").Port)
	stays := run(t, with(moved, taken()), "update-status")
	require.Equal(t, 9166, served(t, stays.Host, "keepalived").Port, "a port that is served stays")
	full := make([]int, 0, 16)
	for port := 9165; port <= 9180; port++ {
		full = append(full, port)
	}
	none := run(t, with(s, taken(full...)), "update-status")
	require.Equal(t, 9165, served(t, none.Host, "keepalived").Port, "where all are taken the health checker goes on to try")
	said := s.Juju.Status
	said.Message += "; serves no metrics, ports 9165-9180 of 127.0.0.1 are taken: ss -ltnp shows by whom, option metrics_port names others"
	require.Equal(t, said, none.Juju.Status, "and juju status says so")
	require.Equal(t, s.Juju.Status, run(t, with(none, taken()), "update-status").Juju.Status)
}

// TestTwoApplicationsOnAMachineHaveTwoPorts.
func TestTwoApplicationsOnAMachineHaveTwoPorts(t *testing.T) {
	s := newSite(1, map[string]map[string]any{
		"ka": {"virtual_ip": "10.10.74.250", "router_id": 23}, "kb": {"virtual_ip": "10.10.74.251", "router_id": 24}})
	a, b := juju.Unit{Application: "ka"}, juju.Unit{Application: "kb"}
	for _, u := range []juju.Unit{a, b, a, b} {
		s.run(t, u, "install")
		s.run(t, u, "config-changed")
	}
	require.Equal(t, 9165, served(t, s.hosts[0], "ka").Port)
	require.Equal(t, 9166, served(t, s.hosts[0], "kb").Port)
}

// TestAHookTellsWhatItFound for the metrics.
func TestAHookTellsWhatItFound(t *testing.T) {
	s := run(t, serving(t), "update-status")
	found := s.Host.Found
	require.Equal(t, metrics.HookVersion, found.Version)
	require.Empty(t, found.Findings)
	require.Equal(t, "2.2.7", found.Keepalived)
	require.Equal(t, 3, found.VRRPVersion)
	require.Equal(t, vrrp.Multicast, found.Mode)
	require.Equal(t, map[string]vrrp.Priority{"charm_keepalived": vrrp.Base(0)}, found.Bases)
	refused := run(t, option(s, "port", 0), "config-changed")
	require.Equal(t, map[metrics.Finding]int{metrics.OptionRefused: 1}, refused.Host.Found.Findings)
	require.Equal(t, 3, refused.Host.Found.VRRPVersion, "it serves all the same")
	masked := run(t, with(s, func(s *charmtest.State) { s.Host.Masked = true }), "update-status")
	require.Equal(t, map[metrics.Finding]int{metrics.ServiceMasked: 1}, masked.Host.Found.Findings)
	require.Empty(t, run(t, charmtest.NewState(0), "install", "config-changed").Host.Found, "who serves nothing tells nothing")
}
