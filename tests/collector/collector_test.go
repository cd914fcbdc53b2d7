package collector_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/collector"
)

const published = `{"metrics_alert_rules": {"groups": [{"name": "g", "rules": []}]}, "log_alert_rules": {}, "dashboards": [], "log_slots": [],
	"metrics_scrape_jobs": [{"job_name": "j", "scrape_interval": "10s", "static_configs": [{"targets": ["127.0.0.1:9165"], "labels": {"juju_unit": "x/0", "a": "b"}}]}],
	"something_new": 1}`

func from(unit, config string) collector.Provider {
	return collector.Provider{Topology: collector.Topology{Model: "prod", ModelUUID: "1a2b", Application: unit[:1], Unit: unit}, Config: config}
}

func TestJobsAreTakenAsTheyAre(t *testing.T) {
	f, err := collector.Configure([]collector.Provider{from("k/1", published)}, collector.Settings{RemoteWrite: "http://p/"})
	require.NoError(t, err)
	require.JSONEq(t, `{"scrape_configs": [{"job_name": "j", "scrape_interval": "10s", "static_configs": [{"targets": ["127.0.0.1:9165"],
		"labels": {"juju_model": "prod", "juju_model_uuid": "1a2b", "juju_application": "k", "juju_unit": "k/1", "a": "b"}}]}],
		"remote_write": [{"url": "http://p/", "queue_config": {"batch_send_deadline": "500ms"}}]}`, string(f.Agent))
	f, err = collector.Configure([]collector.Provider{from("k/1", published)}, collector.Settings{Interval: "1s"})
	require.NoError(t, err)
	require.Contains(t, string(f.Agent), `"scrape_interval":"1s","scrape_timeout":"1s"`)
}

func TestRulesAreTakenOnceForAnApplication(t *testing.T) {
	f, err := collector.Configure([]collector.Provider{from("k/1", published), from("k/2", published), from("h/0", published)}, collector.Settings{})
	require.NoError(t, err)
	require.JSONEq(t, `{"groups": [{"name": "g", "rules": []}, {"name": "g", "rules": []}]}`, string(f.Rules))
}

func TestWhatLacksAMemberCountsForNothing(t *testing.T) {
	var whole map[string]any
	require.NoError(t, json.Unmarshal([]byte(published), &whole))
	for _, member := range []string{"metrics_alert_rules", "log_alert_rules", "dashboards", "metrics_scrape_jobs", "log_slots"} {
		value := whole[member]
		delete(whole, member)
		lacking, err := json.Marshal(whole)
		require.NoError(t, err)
		whole[member] = value
		f, err := collector.Configure([]collector.Provider{from("k/1", string(lacking)), from("k/2", "no JSON"), from("h/0", "")}, collector.Settings{})
		require.ErrorContains(t, err, "cannot take what k/1 publishes: field required")
		require.ErrorContains(t, err, "cannot take what k/2 publishes")
		require.Nil(t, f.Agent)
		require.JSONEq(t, `{"groups": []}`, string(f.Rules))
	}
}
