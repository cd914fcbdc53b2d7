package charm_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// targets are where a collector on the machine is told to scrape; nil where it is told nothing.
func targets(t *testing.T, s charmtest.State) []string {
	t.Helper()
	text := s.Juju.Own("cos-agent:5")["config"]
	if text == "" {
		return nil
	}
	var config struct {
		Rules struct{ Groups []struct{ Name string } } `json:"metrics_alert_rules"`
		Jobs  []struct {
			Static []struct{ Targets []string } `json:"static_configs"`
		} `json:"metrics_scrape_jobs"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &config))
	require.Equal(t, "prod_1a2b3c4d_keepalived_vip_rules", config.Rules.Groups[0].Name)
	return config.Jobs[0].Static[0].Targets
}

// TestACollectorIsToldWhereTheMetricsAre, always where they are by now.
func TestACollectorIsToldWhereTheMetricsAre(t *testing.T) {
	collector := func(s charmtest.State) charmtest.State {
		return with(s, func(s *charmtest.State) {
			s.Juju.Relate(endpoint.CosAgent, "cos-agent:5", juju.Unit{Application: "otelcol"})
		})
	}
	s := run(t, collector(serving(t)), "cos-agent-relation-created")
	require.Equal(t, []string{"127.0.0.1:9165"}, targets(t, s))
	require.Equal(t, s.Juju.Own("cos-agent:5"), run(t, s, "cos-agent-relation-joined", "update-status").Juju.Own("cos-agent:5"))
	moved := run(t, with(s, func(s *charmtest.State) { s.Host.Ports = []int{9165} }), "update-status")
	require.Equal(t, []string{"127.0.0.1:9166"}, targets(t, moved), "the hook that takes another port tells it")
	full := with(s, func(s *charmtest.State) {
		for port := 9165; port <= 9180; port++ {
			s.Host.Ports = append(s.Host.Ports, port)
		}
	})
	require.Nil(t, targets(t, run(t, full, "update-status")), "where all ports are taken, who has them is not scraped in this unit's name")
	require.Nil(t, targets(t, run(t, option(s, "metrics_port", 0), "config-changed")))
	require.Equal(t, []string{"127.0.0.1:9165"}, targets(t, run(t, option(s, "metrics_port", -1), "config-changed")), "a refused value changes nothing")
	none := run(t, collector(charmtest.NewState(0)), "install", "config-changed", "cos-agent-relation-created")
	require.NotContains(t, none.Juju.Own("cos-agent:5"), "config", "a unit that serves nothing has no metrics")
}
