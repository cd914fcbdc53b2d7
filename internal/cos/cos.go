// Package cos is what the charm tells the Canonical Observability Stack on endpoint cos-agent
// (interface cos_agent): where to scrape a unit's metrics, which alerts to raise, and a
// dashboard. It does no I/O.
package cos

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Topology says whose metrics they are; the collector labels all series of a unit so.
type Topology struct {
	Model, ModelUUID, Application string
}

// charm is the name of the charm in labels.
const charm = "keepalived"

// Interval parts two scrapes.
const Interval = "10s"

// config is the value of the one key of the interface: all members are required but the last
// two (cos_agent.py, CosAgentProviderUnitData).
type config struct {
	MetricsAlertRules groups         `json:"metrics_alert_rules"`
	LogAlertRules     map[string]any `json:"log_alert_rules"`
	Dashboards        []string       `json:"dashboards"`
	MetricsScrapeJobs []job          `json:"metrics_scrape_jobs"`
	LogSlots          []string       `json:"log_slots"`
	Subordinate       bool           `json:"subordinate"`
	TracingProtocols  []string       `json:"tracing_protocols"`
}

// job is a scrape_config of Prometheus.
type job struct {
	JobName        string   `json:"job_name"`
	MetricsPath    string   `json:"metrics_path"`
	ScrapeInterval string   `json:"scrape_interval"`
	StaticConfigs  []static `json:"static_configs"`
}

type static struct {
	Targets []string `json:"targets"`
}

// groups is a rule file of Prometheus.
type groups struct {
	Groups []group `json:"groups"`
}

type group struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// Config is the value of key config for a unit whose metrics are served at an address: the
// same for equal arguments.
func Config(t Topology, metrics netip.AddrPort) string {
	text, err := json.Marshal(config{
		MetricsAlertRules: t.rules(),
		LogAlertRules:     map[string]any{},
		Dashboards:        []string{base64.StdEncoding.EncodeToString(dashboard)},
		MetricsScrapeJobs: []job{{JobName: t.Application + "_metrics", MetricsPath: "/metrics", ScrapeInterval: Interval,
			StaticConfigs: []static{{Targets: []string{metrics.String()}}}}},
		LogSlots:    []string{},
		Subordinate: true,
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// rules are the alert rules for one application, which is all they match: a rule that says
// nothing of the kind would be given the collector's labels. The first unit's copy counts for
// all, so no unit is in them.
func (t Topology) rules() groups {
	labels := map[string]string{"juju_model": t.Model, "juju_model_uuid": t.ModelUUID, "juju_application": t.Application}
	var matchers []string
	for _, name := range []string{"juju_model", "juju_model_uuid", "juju_application"} {
		matchers = append(matchers, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	g := group{Name: t.name("vip")}
	for _, a := range Alerts() {
		r := rule{Alert: a.Name, Expr: strings.ReplaceAll(a.Expr, topology, strings.Join(matchers, ",")), For: a.For,
			Labels:      map[string]string{"severity": a.Severity, "juju_charm": charm},
			Annotations: map[string]string{"summary": a.Summary, "description": a.Description}}
		for name, value := range labels {
			r.Labels[name] = value
		}
		g.Rules = append(g.Rules, r)
	}
	return groups{[]group{g}}
}

// name is a group's name that the collectors leave alone: MODEL_UUID8_APPLICATION_TOPIC_rules.
func (t Topology) name(topic string) string {
	uuid := t.ModelUUID[:min(8, len(t.ModelUUID))]
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == ':' {
			return r
		}
		return '_'
	}, strings.Join([]string{t.Model, uuid, t.Application, topic, "rules"}, "_"))
}

// dashboard is dashboard.json for Grafana as the interface wants it, an .xz stream; its tests
// write it.
//
//go:embed dashboard.json.xz
var dashboard []byte
