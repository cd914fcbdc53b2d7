package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/tests/machine"
)

// ScrapeInterval is how often the collectors of Collect scrape.
const ScrapeInterval = time.Second

// Prometheus is Debian's, in the network namespace of the lab's client: what the collectors on
// the machines scrape is sent to it, and it has the alert rules.
type Prometheus struct {
	lab     *Lab
	address string
}

// A Series is one time series, its samples in order.
type Series struct {
	Labels  map[string]string
	Samples []Sample
}

// Sample is what a series was at a moment.
type Sample struct {
	At    time.Time
	Value float64
}

// prometheusLimit bounds how long Prometheus may take to start, and to answer.
const prometheusLimit = time.Minute

// Collect deploys a collector, relates it to haproxy's machines and keepalived's cos-agent, and
// starts Prometheus, which ends with the lab.
func (l *Lab) Collect(ctx context.Context) (*Prometheus, error) {
	defer l.Toil(ctx)()
	p := &Prometheus{lab: l, address: l.Net.Client().IPv4.Addr().String() + ":9090"}
	config := map[string]string{"remote_write": "http://" + p.address + "/api/v1/write", "scrape_interval": ScrapeInterval.String()}
	if err := l.Deploy(ctx, "opentelemetry-collector", "otelcol", 0, config); err != nil {
		return nil, err
	}
	for _, ends := range [][2]string{{"haproxy:juju-info", "otelcol"}, {"keepalived:cos-agent", "otelcol"}} {
		if err := l.Integrate(ends[0], ends[1]); err != nil {
			return nil, err
		}
	}
	if err := l.Settled(ctx); err != nil {
		return nil, err
	}
	return p, p.start(ctx)
}

// start has the rules that the collector on the first machine would send on.
func (p *Prometheus) start(ctx context.Context) error {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return fmt.Errorf("%w: make deps brings it", err)
	}
	m := p.lab.Net.Machines()[0]
	rules, err := m.ReadFile(ctx, "/etc/prometheus/rules.json")
	if err != nil {
		return err
	}
	dir := filepath.Join(p.lab.Net.Dir, "prometheus")
	for name, text := range map[string]string{"rules.json": string(rules), "prometheus.json": `{"global": {"evaluation_interval": "1s"}, "rule_files": ["rules.json"]}`} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd := p.lab.Net.ClientCommand(context.WithoutCancel(ctx), program, "--config.file="+filepath.Join(dir, "prometheus.json"), "--storage.tsdb.path="+dir,
		"--web.listen-address="+p.address, "--web.enable-remote-write-receiver", "--log.level=warn")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start prometheus: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // with the lab at the latest
	ctx, cancel := context.WithTimeout(ctx, prometheusLimit)
	defer cancel()
	for {
		if _, err = p.Query(ctx, "vector(1)"); err == nil {
			return nil
		}
		select {
		case failed := <-ended:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("cannot run prometheus: %w: %s", failed, text)
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Query evaluates an expression now. One that ends in a range, such as x[5m], returns the
// samples as they were stored.
func (p *Prometheus) Query(ctx context.Context, expr string) ([]Series, error) {
	return p.ask(ctx, "query", url.Values{"query": {expr}})
}

// Range evaluates an expression at every step of a span.
func (p *Prometheus) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]Series, error) {
	return p.ask(ctx, "query_range", url.Values{"query": {expr}, "start": {unix(from)}, "end": {unix(to)}, "step": {fmt.Sprint(step.Seconds())}})
}

func unix(at time.Time) string { return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64) }

// ask asks the HTTP API, from where the client stands.
func (p *Prometheus) ask(ctx context.Context, what string, values url.Values) ([]Series, error) {
	ctx, cancel := context.WithTimeout(ctx, prometheusLimit)
	defer cancel()
	cmd := p.lab.Net.ClientCommand(ctx, "curl", "--silent", "--show-error", "--noproxy", "*", "--data", "@-", "http://"+p.address+"/api/v1/"+what)
	cmd.Stdin = strings.NewReader(values.Encode())
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot ask prometheus: %w", err)
	}
	series, err := parse(out)
	if err != nil {
		return nil, fmt.Errorf("cannot ask prometheus %s: %w", values.Get("query"), err)
	}
	return series, nil
}

// parse reads an answer of the API with a vector or a matrix.
func parse(text []byte) ([]Series, error) {
	type point [2]any
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  *point
				Values []point
			}
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	var all []Series
	for _, r := range answer.Data.Result {
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		s := Series{Labels: r.Metric}
		for _, v := range r.Values {
			at, isNumber := v[0].(float64)
			word, isText := v[1].(string)
			value, err := strconv.ParseFloat(word, 64)
			if !isNumber || !isText || err != nil {
				return nil, fmt.Errorf("%v is no sample", v)
			}
			s.Samples = append(s.Samples, Sample{time.UnixMilli(int64(at*1000 + 0.5)), value})
		}
		all = append(all, s)
	}
	return all, nil
}

// prometheusBind is Debian's Prometheus as the machines see it, where this host has it.
func prometheusBind() []machine.Bind {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return nil // only Collect needs it
	}
	return []machine.Bind{{Host: program, Machine: agentPrometheus, ReadOnly: true}}
}
