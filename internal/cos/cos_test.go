package cos_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/cos"
	"keepalived-charm/internal/docstest"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/needs"
)

var (
	prod   = cos.Topology{Model: "prod", ModelUUID: "1a2b3c4d-0000-4000-8000-000000000000", Application: "keepalived"}
	target = netip.MustParseAddrPort("127.0.0.1:9165")
)

// bag is the value of key config as the collector's library reads it: Python's pydantic wants
// every member but the last two.
type bag struct {
	MetricsAlertRules *struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	} `json:"metrics_alert_rules"`
	LogAlertRules     *map[string]any `json:"log_alert_rules"`
	Dashboards        *[]string       `json:"dashboards"`
	MetricsScrapeJobs *[]struct {
		JobName        string                       `json:"job_name"`
		MetricsPath    string                       `json:"metrics_path"`
		ScrapeInterval string                       `json:"scrape_interval"`
		StaticConfigs  []struct{ Targets []string } `json:"static_configs"`
	} `json:"metrics_scrape_jobs"`
	LogSlots         *[]string `json:"log_slots"`
	Subordinate      bool      `json:"subordinate"`
	TracingProtocols *[]string `json:"tracing_protocols"`
}

func read(t *testing.T, topology cos.Topology) bag {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(cos.Config(topology, target)))
	d.DisallowUnknownFields()
	var b bag
	require.NoError(t, d.Decode(&b))
	return b
}

func TestTheCollectorTakesAllOfIt(t *testing.T) {
	b := read(t, prod)
	require.NotNil(t, b.MetricsAlertRules)
	require.NotNil(t, b.LogAlertRules, "without any one of these the whole is dropped")
	require.NotNil(t, b.Dashboards)
	require.NotNil(t, b.MetricsScrapeJobs)
	require.NotNil(t, b.LogSlots)
	require.True(t, b.Subordinate)
	require.Nil(t, b.TracingProtocols)
	require.Len(t, *b.MetricsScrapeJobs, 1)
	job := (*b.MetricsScrapeJobs)[0]
	require.Equal(t, "keepalived_metrics", job.JobName)
	require.Equal(t, "/metrics", job.MetricsPath)
	require.Equal(t, []string{"127.0.0.1:9165"}, job.StaticConfigs[0].Targets)
	require.Equal(t, cos.Config(prod, target), cos.Config(prod, target))

	g := b.MetricsAlertRules.Groups
	require.Len(t, g, 1)
	require.Equal(t, "prod_1a2b3c4d_keepalived_vip_rules", g[0].Name)
	require.Len(t, g[0].Rules, len(cos.Alerts()))
	selector := regexp.MustCompile(`\b(up|keepalived_\w+)(\{[^}]*)?`)
	for _, r := range g[0].Rules {
		require.Equal(t, map[string]string{"juju_model": prod.Model, "juju_model_uuid": prod.ModelUUID, "juju_application": prod.Application,
			"juju_charm": "keepalived", "severity": r.Labels["severity"]}, r.Labels)
		require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"])
		require.NotContains(t, r.Expr, "JUJU")
		for _, m := range selector.FindAllStringSubmatch(r.Expr, -1) {
			require.Contains(t, m[2], `juju_model="prod",juju_model_uuid="1a2b3c4d-0000-4000-8000-000000000000",juju_application="keepalived"`, "%s: %s", r.Alert, m[0])
		}
		require.NotEmpty(t, r.Annotations["summary"])
		require.Contains(t, r.Annotations["description"], "juju ", "%s says what to type", r.Alert)
	}
}

// TestNoNameBreaksARule: Juju's names are plain; these are worse.
func TestNoNameBreaksARule(t *testing.T) {
	b := read(t, cos.Topology{Model: "a\"}\n b", ModelUUID: "x", Application: "k-b"})
	require.Equal(t, "a____b_x_k_b_vip_rules", b.MetricsAlertRules.Groups[0].Name)
	require.Contains(t, b.MetricsAlertRules.Groups[0].Rules[0].Expr, `juju_model="a\"}\n b",juju_model_uuid="x",juju_application="k-b"`)
}

// TestTheDashboardInside is dashboard.json; UPDATE_GOLDEN=1 compresses it anew.
func TestTheDashboardInside(t *testing.T) {
	xz := needs.Program(t, "xz")
	source, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	packed, err := base64.StdEncoding.DecodeString((*read(t, prod).Dashboards)[0])
	require.NoError(t, err)
	if os.Getenv("UPDATE_GOLDEN") != "" { // what is embedded is the one before
		packed, err = exec.Command(xz, "--format=xz", "--check=crc64", "-9", "--stdout", "dashboard.json").Output()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("dashboard.json.xz", packed, 0o644))
	}
	cmd := exec.Command(xz, "--decompress", "--stdout")
	cmd.Stdin = bytes.NewReader(packed)
	inside, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, string(source), string(inside), "UPDATE_GOLDEN=1 compresses it anew")
}

// dashboard is what of a dashboard is checked here.
type dashboard struct {
	Title, UID string
	Tags       []string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID                       int
		Title, Type, Description string
		GridPos                  struct{ X, Y, W, H int }
		Datasource               struct{ UID string }
		Targets                  []struct{ Expr string }
	}
}

func panels(t *testing.T) dashboard {
	t.Helper()
	raw, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(raw, &d))
	return d
}

// TestEveryQueryNamesAMetric that a unit has, in rules and dashboard.
func TestEveryQueryNamesAMetric(t *testing.T) {
	known := map[string]bool{"keepalived_metrics": true}
	for _, f := range metrics.Families() {
		known[f.Name] = true
		if f.Type == metrics.Buckets {
			known[f.Name+"_bucket"] = true
		}
	}
	var queries []string
	for _, a := range cos.Alerts() {
		queries = append(queries, a.Expr)
	}
	d := panels(t)
	for _, p := range d.Panels {
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		queries = append(queries, v.Definition)
	}
	name := regexp.MustCompile(`keepalived_\w+`)
	for _, q := range queries {
		found := name.FindAllString(q, -1)
		for _, n := range found {
			require.True(t, known[n], "%s: no unit has %s", q, n)
		}
		require.True(t, len(found) > 0 || q == "" || q == "up{JUJU} == 0", q)
	}
}

// TestTheDashboard: panels beside each other, each with words, of one source that an operator
// may choose, and the tag and identifier that the interface wants.
func TestTheDashboard(t *testing.T) {
	d := panels(t)
	require.Regexp(t, "^[0-9a-f]{40}$", d.UID)
	require.Contains(t, d.Tags, "charm: keepalived")
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		require.Equal(t, "${prometheusds}", p.Datasource.UID)
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// TestPromtoolTakesEveryQuery: the rules as they are published, and the dashboard's queries.
func TestPromtoolTakesEveryQuery(t *testing.T) {
	promtool := needs.Program(t, "promtool")
	rules := write(t, "rules.json", read(t, prod).MetricsAlertRules)
	type record struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var list []record
	for _, p := range panels(t).Panels {
		for _, target := range p.Targets {
			list = append(list, record{"dashboard", strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")})
		}
	}
	queries := write(t, "queries.json", map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": list}}})
	for _, file := range []string{rules, queries} {
		said, err := exec.Command(promtool, "check", "rules", "--lint=none", file).CombinedOutput()
		require.NoError(t, err, string(said))
	}
}

func write(t *testing.T, name string, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	// Members of Go's structs without tags begin with capitals.
	for _, word := range []string{"Groups", "Name", "Rules", "Alert", "Expr", "For", "Labels", "Annotations"} {
		text = bytes.ReplaceAll(text, []byte(`"`+word+`":`), []byte(`"`+strings.ToLower(word)+`":`))
	}
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, text, 0o644))
	return path
}

func TestTheReferenceListsTheAlerts(t *testing.T) {
	docstest.Generated(t, "docs/reference/alerts.md", "alerts", cos.Table())
	docstest.Generated(t, "docs/reference/alerts.md", "rules", cos.Rules())
}
