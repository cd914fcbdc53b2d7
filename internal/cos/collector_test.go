package cos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/cos"
	"keepalived-charm/internal/exporter"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
)

// port is one of the loopback device that is free now.
func port(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// collect does what a collector does with a unit's databag: it takes jobs and rules as they
// are, adds the labels of the unit, and nothing else (cos_agent.py). It returns Prometheus'
// configuration.
func collect(t *testing.T, databag map[string]string, unit string) string {
	t.Helper()
	var config map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(databag["config"]), &config))
	var jobs []map[string]any
	require.NoError(t, json.Unmarshal(config["metrics_scrape_jobs"], &jobs))
	for _, job := range jobs {
		for _, static := range job["static_configs"].([]any) {
			labels := map[string]string{"juju_model": prod.Model, "juju_model_uuid": prod.ModelUUID, "juju_application": prod.Application, "juju_unit": unit}
			static.(map[string]any)["labels"] = labels
		}
	}
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.json")
	require.NoError(t, os.WriteFile(rules, config["metrics_alert_rules"], 0o600))
	text, err := json.Marshal(map[string]any{"global": map[string]any{"evaluation_interval": "1s"}, "scrape_configs": jobs, "rule_files": []string{rules}})
	require.NoError(t, err)
	file := filepath.Join(dir, "prometheus.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

// TestPrometheusScrapesByTheDatabag: Debian's Prometheus, with the jobs and rules as they are
// published, reads the metrics of a unit and raises an alert.
func TestPrometheusScrapesByTheDatabag(t *testing.T) {
	needs.Time(t)
	t.Parallel()
	prometheus := needs.Program(t, "prometheus")
	served, web := port(t), port(t)
	snapshot := metrics.Snapshot{Version: "test", Up: true, Check: metrics.Check{Type: "tcp", Verdict: "healthy", Passes: true}, Instances: []metrics.Instance{{
		Name: "charm_keepalived", Link: "eth0", ID: 23, Role: metrics.Holder, Addresses: []metrics.Address{{Addr: netip.MustParseAddr("10.10.74.250"), Present: true}}}},
		Hook: &metrics.Hook{}}
	e := exporter.New(served, func(context.Context) ([]byte, error) {
		var b bytes.Buffer
		err := metrics.Write(&b, snapshot)
		return b.Bytes(), err
	}, log.New(io.Discard, "", 0))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go e.Run(ctx)

	config := collect(t, map[string]string{"config": cos.Config(prod, exporter.Address(served))}, "keepalived/1")
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, prometheus, "--config.file="+config, "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+exporter.Address(web).String(), "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	defer func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	}()
	api := func(path string) string {
		answer, err := http.Get(fmt.Sprintf("http://%s/api/v1/%s", exporter.Address(web), path))
		if err != nil {
			return ""
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return string(body)
	}
	ask := func(query string) string { return api("query?query=" + url.QueryEscape(query)) }
	poll.Until(t, func() bool {
		return strings.Contains(ask(`keepalived_vip_present{juju_application="keepalived",juju_unit="keepalived/1",vip="10.10.74.250"} == 1`), `"juju_model":"prod"`)
	}, 2*time.Minute, 100*time.Millisecond)
	rules := api("rules?type=alert")
	for _, a := range cos.Alerts() {
		require.Contains(t, rules, `"name":"`+a.Name+`"`)
	}
	require.NotContains(t, rules, `"health":"err"`)
	require.Contains(t, ask(`keepalived_up{juju_unit="keepalived/1"}`), `"1"]`)
}
