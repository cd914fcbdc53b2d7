// Package collector is what a collector charm, grafana-agent or opentelemetry-collector, makes
// of the databags on its endpoint cos-agent: the jobs and rules as they are, with the labels of
// the unit that they are about. It does no I/O.
package collector

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Topology says whose a databag is.
type Topology struct {
	Model, ModelUUID, Application, Unit string
}

// Provider is the other side of one relation.
type Provider struct {
	Topology
	// Config is the value of key config in the unit's databag; empty while it has none.
	Config string
}

// Settings are the collector's own.
type Settings struct {
	// RemoteWrite is the URL at which Prometheus takes samples.
	RemoteWrite string
	// Interval replaces that of every job, such as "1s"; empty: as the job has it.
	Interval string
}

// Files are what a Prometheus in agent mode, and the one that it sends to, go by.
type Files struct {
	// Agent is the agent's configuration; nil without a job.
	Agent []byte
	// Rules is a rule file.
	Rules []byte
}

// bag is the value of key config (cos_agent.py, CosAgentProviderUnitData): of a bag without
// one of its members nothing counts; others are not looked at.
type bag struct {
	MetricsAlertRules *struct {
		Groups []json.RawMessage `json:"groups"`
	} `json:"metrics_alert_rules"`
	LogAlertRules     *map[string]any   `json:"log_alert_rules"`
	Dashboards        *[]string         `json:"dashboards"`
	MetricsScrapeJobs *[]map[string]any `json:"metrics_scrape_jobs"`
	LogSlots          *[]string         `json:"log_slots"`
}

func read(config string) (bag, error) {
	var b bag
	if err := json.Unmarshal([]byte(config), &b); err != nil {
		return b, err
	}
	if b.MetricsAlertRules == nil || b.LogAlertRules == nil || b.Dashboards == nil || b.MetricsScrapeJobs == nil || b.LogSlots == nil {
		return b, errors.New("field required")
	}
	return b, nil
}

// Configure reads what providers publish. The error tells which databags count for nothing;
// the files are good all the same.
func Configure(providers []Provider, s Settings) (Files, error) {
	var jobs []map[string]any
	var failed error
	rules := map[string][]json.RawMessage{"groups": {}}
	known := map[string]bool{}
	for _, p := range providers {
		if p.Config == "" {
			continue
		}
		b, err := read(p.Config)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot take what %s publishes: %w", p.Unit, err))
			continue
		}
		for _, job := range *b.MetricsScrapeJobs {
			jobs = append(jobs, labelled(job, p.Topology, s.Interval))
		}
		if !known[p.Application] { // the first unit's copy counts for all
			rules["groups"] = append(rules["groups"], b.MetricsAlertRules.Groups...)
		}
		known[p.Application] = true
	}
	var f Files
	var err error
	if f.Rules, err = json.Marshal(rules); err != nil {
		return f, errors.Join(failed, err)
	}
	if len(jobs) == 0 {
		return f, failed
	}
	f.Agent, err = json.Marshal(map[string]any{
		"scrape_configs": jobs,
		// What is sent late is late for every alert.
		"remote_write": []any{map[string]any{"url": s.RemoteWrite, "queue_config": map[string]any{"batch_send_deadline": "500ms"}}},
	})
	return f, errors.Join(failed, err)
}

// labelled is a job with the labels of a unit over its own.
func labelled(job map[string]any, of Topology, interval string) map[string]any {
	if interval != "" {
		job["scrape_interval"], job["scrape_timeout"] = interval, interval
	}
	configs, _ := job["static_configs"].([]any)
	for _, c := range configs {
		static, is := c.(map[string]any)
		if !is {
			continue
		}
		labels, is := static["labels"].(map[string]any)
		if !is {
			labels = map[string]any{}
		}
		for name, value := range map[string]string{"juju_model": of.Model, "juju_model_uuid": of.ModelUUID, "juju_application": of.Application, "juju_unit": of.Unit} {
			labels[name] = value
		}
		static["labels"] = labels
	}
	return job
}
