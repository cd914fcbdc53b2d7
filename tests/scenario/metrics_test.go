package scenario_test

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

// scraped are the metrics of a machine, by name with labels.
type scraped map[string]float64

// scrape reads the metrics of the unit on a machine, as Prometheus does there.
func (d *deployment) scrape(t *testing.T, id string) scraped {
	t.Helper()
	const get = `exec 3<>/dev/tcp/127.0.0.1/9165; printf 'GET /metrics HTTP/1.1\r\n\r\n' >&3; cat <&3`
	answer := d.run(t, id, "bash -c \""+strings.ReplaceAll(get, `\`, `\\`)+"\"")
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	require.True(t, strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n"), answer)
	all := scraped{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		if name, value, found := strings.Cut(lines.Text(), " "); found && name != "#" {
			v, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err, lines.Text())
			all[name] = v
		}
	}
	return all
}

// sum adds up all series of a metric whose labels contain a text.
func (s scraped) sum(metric, labels string) float64 {
	total := 0.0
	for name, value := range s {
		if strings.HasPrefix(name, metric+"{") && strings.Contains(name, labels) || name == metric {
			total += value
		}
	}
	return total
}

// agrees waits until the metrics of all machines say what the kernels have, for as long as two
// scrapes would take, and returns them.
func (d *deployment) agrees(t *testing.T) map[string]scraped {
	t.Helper()
	wrong := []string(nil)
	for since := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		wrong = wrong[:0]
		all := map[string]scraped{}
		held := map[string]bool{}
		for _, id := range d.holders(lab.VIP) {
			held[id] = true
		}
		for _, unit := range d.units() {
			id := d.machineOf(t, unit)
			m := d.scrape(t, id)
			all[id] = m
			machine, err := d.Machine(id)
			require.NoError(t, err)
			want := map[string]float64{"holder": 0, "standby": 1, "aside": 0, "fault": 0}
			if held[machine.Name] {
				want["holder"], want["standby"] = 1, 0
			}
			for role, value := range want {
				if got := m.sum("keepalived_vrrp_role", fmt.Sprintf("role=%q", role)); got != value {
					wrong = append(wrong, fmt.Sprintf("%s: %s is %v", unit, role, got))
				}
			}
			for series, value := range map[string]float64{
				fmt.Sprintf(`keepalived_vip_present{vip=%q,iname="charm_keepalived"}`, lab.VIP): want["holder"],
				"keepalived_up": 1, `keepalived_healthcheck_verdict{verdict="healthy"}`: 1, `keepalived_vrrp_holder_seen{iname="charm_keepalived"}`: 1,
				"keepalived_paused": 0, "keepalived_agreement_moving": 0,
			} {
				if got, there := m[series]; !there || got != value {
					wrong = append(wrong, fmt.Sprintf("%s: %s is %v (there: %v)", unit, series, got, there))
				}
			}
		}
		if len(wrong) == 0 {
			t.Logf("the metrics agree with the kernels after %.1f s", time.Since(since).Seconds())
			return all
		}
		require.Less(t, time.Since(since), patience.With(promptly), "still wrong: %v", wrong)
	}
}

// metrics reads the metrics of all machines over a failover.
func (d *deployment) metrics(t *testing.T) {
	d.scenario(t, "metrics say what the kernels have, and count a failover where it happened", func(t *testing.T) {
		from := d.calm(t)
		before := d.agrees(t)
		d.run(t, from, "systemctl restart keepalived.service")
		to, _ := d.otherHolder(t, from)
		after := d.agrees(t)
		for id, now := range after {
			moved := func(metric, labels string) float64 { return now.sum(metric, labels) - before[id].sum(metric, labels) }
			gained, lost, restarts := 0.0, 0.0, 0.0
			switch id {
			case from:
				lost, restarts = 1, 1
			case to:
				gained = 1
				require.Equal(t, 1.0, moved("keepalived_become_master_total", `cause="outranked"`), "a holder that stops waits for a successor: %v", now)
			}
			require.Equal(t, gained, moved("keepalived_become_master_total", ""), "machine %s", id)
			require.Equal(t, lost, moved("keepalived_release_master_total", ""), "machine %s", id)
			require.Equal(t, restarts, moved("keepalived_restarts_total", ""), "machine %s", id)
			require.Zero(t, now.sum("keepalived_findings", ""), "machine %s", id)
			require.Positive(t, moved("keepalived_healthchecks_total", `result="pass"`), "machine %s", id)
			heard := now.sum("keepalived_advertisement_last_heard_timestamp_seconds", "")
			require.Equal(t, id != to || heard > 0, heard > 0, "machine %s hears the holder", id)
		}
	})
}
