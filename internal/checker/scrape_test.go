package checker

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/exporter"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/vrrp"
)

// measured is a configuration with metrics, in whose namespace port 9165 is free.
func measured(t *testing.T) healthcheck.Config {
	needs.Root(t)
	c := localConfig(t)
	c.Links = []string{"br0"}
	c.Metrics = healthcheck.Metrics{Port: 9165, Link: "br0", Hook: filepath.Join(filepath.Dir(c.StatusFile), "hook.json")}
	return c
}

// scrape asks the checker for its metrics, from within its namespace; empty when it does
// not answer.
func (p *process) scrape() string {
	p.t.Helper()
	text := ""
	p.inNamespace(func() error {
		c, err := net.DialTimeout("tcp4", exporter.Address(9165).String(), 30*time.Second)
		if err != nil {
			return nil // not yet
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\n\r\n"); err != nil {
			return err
		}
		answer, err := io.ReadAll(c)
		_, text, _ = strings.Cut(string(answer), "\r\n\r\n")
		return err
	})
	return text
}

// shows waits until the metrics have a line.
func (p *process) shows(line string) {
	p.t.Helper()
	last := ""
	poll.Until(p.t, func() bool {
		last = p.scrape()
		return strings.Contains("\n"+last, "\n"+line+"\n")
	}, 30*time.Second, 5*time.Millisecond, "want %s", line)
}

func TestMetricsSayWhatTheKernelHas(t *testing.T) {
	t.Parallel()
	c := measured(t)
	p := start(t, c)
	p.becomes(healthyStandby)
	status := func() Status {
		s, err := ReadStatus(c.StatusFile)
		require.NoError(t, err)
		return s
	}
	p.inNamespace(func() error { return up("lo") })
	p.shows(`keepalived_vip_present{vip="192.0.2.10",iname="VI_1"} 0`)
	p.shows("keepalived_up 0") // as there is none in this namespace's machine
	p.shows(`keepalived_charm_build_info{version="test"} 1`)
	p.shows(`keepalived_healthcheck_verdict{verdict="healthy"} 1`)
	require.NotContains(t, p.scrape(), "keepalived_findings", "no hook has told anything")

	p.inNamespace(func() error { return up("br0") })
	p.inNamespace(func() error { return address("br0", "192.0.2.10/32", true) })
	p.becomes(healthyHolder)
	p.shows(`keepalived_vip_present{vip="192.0.2.10",iname="VI_1"} 1`)
	p.shows(`keepalived_vip_present{vip="192.0.2.11",iname="VI_1"} 0`)
	p.shows(`keepalived_vrrp_role{iname="VI_1",intf="br0",vrid="0",role="holder"} 1`)
	p.shows(`keepalived_become_master_total{iname="VI_1",intf="br0",vrid="0",cause="unknown"} 1`)

	// kube-proxy keeps copies of addresses where nobody finds them.
	p.inNamespace(func() error {
		copies := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "kube-ipvs0"}}
		if err := netlink.LinkAdd(copies); err != nil {
			return err
		}
		if err := netlink.LinkSetARPOff(copies); err != nil {
			return err
		}
		return address("kube-ipvs0", "192.0.2.11/32", true)
	})
	p.shows(`keepalived_vip_present{vip="192.0.2.11",iname="VI_1"} 0`)

	hook := metrics.Hook{Findings: map[metrics.Finding]int{metrics.RouterTaken: 1}, Moving: true, Bases: map[string]vrrp.Priority{"VI_1": 40}}
	line, err := hook.Encode()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.Metrics.Hook, []byte(line), 0o600))
	p.shows(`keepalived_findings{kind="router_id"} 1`)
	p.shows("keepalived_agreement_moving 1")
	p.shows(fmt.Sprintf(`keepalived_vrrp_priority{iname="VI_1",intf="br0",vrid="0"} %d`, 40+vrrp.HealthyWeight+vrrp.HolderWeight))
	// What a hook is just writing is not read.
	require.NoError(t, os.WriteFile(c.Metrics.Hook, []byte(line[:20]), 0o600))
	p.shows(`keepalived_findings{kind="router_id"} 1`)
	require.Equal(t, 9165, status().Metrics)
}

// TestAPortThatCannotBeHadStopsNothing: the checker begins all the same.
func TestAPortThatCannotBeHadStopsNothing(t *testing.T) {
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	c := localConfig(t)
	c.Metrics = healthcheck.Metrics{Port: other.Addr().(*net.TCPAddr).Port, Link: "br0", Hook: filepath.Join(t.TempDir(), "gone", "hook.json")}
	var said bytes.Buffer
	l, err := newLoop(c, "test", ownIdentity(), log.New(&said, "", 0))
	require.NoError(t, err)
	defer l.close()
	l.apply(time.Now())
	s, err := ReadStatus(c.StatusFile)
	require.NoError(t, err)
	require.Zero(t, s.Metrics, "a hook looks for another port")
	require.Contains(t, said.String(), "cannot serve metrics, trying again: ")
	require.Contains(t, said.String(), "metrics lack what hooks know: ")
}
