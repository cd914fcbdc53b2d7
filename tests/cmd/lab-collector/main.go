// Lab-collector is the dispatch of the lab's stand-in for a collector charm: it has Debian's
// Prometheus, in agent mode, scrape what is published on cos-agent and send it on. Every hook
// does the same.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"keepalived-charm/tests/collector"
)

const (
	dir     = "/etc/prometheus"
	service = "prometheus.service"
)

// unit is the service; it listens on the loopback device only.
const unit = `[Unit]
Description=Prometheus in agent mode, for cos-agent

[Service]
ExecStart=/opt/juju-lab/prometheus --enable-feature=agent --config.file=/etc/prometheus/agent.json --storage.agent.path=/var/lib/prometheus --web.listen-address=127.0.0.1:9090 --log.level=warn
ExecReload=/bin/kill -HUP $MAINPID
Environment=GOMAXPROCS=1
User=nobody
StateDirectory=prometheus
Restart=on-failure

[Install]
WantedBy=multi-user.target
`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lab-collector:", err)
		os.Exit(1)
	}
}

func run() error {
	providers, err := providers()
	if err != nil {
		return err
	}
	var settings struct {
		RemoteWrite string `json:"remote_write"`
		Interval    string `json:"scrape_interval"`
	}
	if err := tool(&settings, "config-get", "--format=json"); err != nil {
		return err
	}
	files, refused := collector.Configure(providers, collector.Settings(settings))
	if err := apply(files); err != nil {
		return err
	}
	words := []string{"active", "ready"}
	if refused != nil {
		words = []string{"blocked", refused.Error()}
	}
	return exec.Command("status-set", words...).Run()
}

// providers reads every relation on cos-agent.
func providers() ([]collector.Provider, error) {
	var all []collector.Provider
	var relations []string
	if err := tool(&relations, "relation-ids", "--format=json", "cos-agent"); err != nil {
		return nil, err
	}
	for _, relation := range relations {
		var units []string
		if err := tool(&units, "relation-list", "--format=json", "-r", relation); err != nil {
			return nil, err
		}
		if len(units) > 1 {
			return nil, fmt.Errorf("cannot have more than one unit on cos-agent: %v", units) // as the library raises
		}
		for _, u := range units {
			var config string
			if err := tool(&config, "relation-get", "--format=json", "-r", relation, "config", u); err != nil {
				return nil, err
			}
			application, _, _ := strings.Cut(u, "/")
			all = append(all, collector.Provider{Config: config, Topology: collector.Topology{
				Model: os.Getenv("JUJU_MODEL_NAME"), ModelUUID: os.Getenv("JUJU_MODEL_UUID"), Application: application, Unit: u}})
		}
	}
	return all, nil
}

// tool runs a hook tool and reads its answer.
func tool(answer any, name string, args ...string) error {
	out, err := exec.Command(name, args...).Output()
	if err == nil {
		err = json.Unmarshal(out, answer)
	}
	if err != nil {
		return fmt.Errorf("cannot %s: %w", name, err)
	}
	return nil
}

// apply writes the files and has the service go by them.
func apply(f collector.Files) error {
	if f.Agent == nil {
		f.Agent = []byte("{}")
	}
	changed := false
	for path, text := range map[string][]byte{
		filepath.Join(dir, "agent.json"): f.Agent, filepath.Join(dir, "rules.json"): f.Rules, filepath.Join("/etc/systemd/system", service): []byte(unit),
	} {
		if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, text) {
			continue
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		changed = true
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	for _, args := range [][]string{{"daemon-reload"}, {"--quiet", "enable", service}, {"restart", service}} {
		if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot systemctl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
		}
	}
	return nil
}
