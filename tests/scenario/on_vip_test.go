package scenario_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// TestServiceOnTheVIPOnly: haproxy listens on the virtual IP and nowhere else, on every
// machine, as docs/how-to/service-on-the-vip.md shows.
func TestServiceOnTheVIPOnly(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.ready(t)
	vip := lab.VIP.String()
	d.on(t, `sed -i -e 's/bind :::443 v4v6/bind `+vip+`:443/' -e '/8443/d' /etc/haproxy/haproxy.cfg
		systemctl restart haproxy
		test "$(ss -Hltn sport = :443 | awk '{print $4}' | sort -u)" = `+vip+`:443`)

	for _, target := range []string{"", vip + ":443"} {
		stopped, now := "no process on this machine listens on "+vip+":443", "a process on this machine listens on "+vip+":443, the address is elsewhere"
		if target == "" {
			stopped = "cannot connect to 127.0.0.1:443: connection refused"
		}
		d.scenario(t, "with healthcheck_target="+target+" every unit is ready", func(t *testing.T) {
			d.configure(t, "healthcheck_target="+target)
			holder := d.repaired(t)
			d.updateStatus(t)
			d.truthful(t, holder)
			require.NotContains(t, d.act(t, d.unitOn(t, holder), "run-checks", nil)["summary"], "elsewhere")
			for _, id := range d.standbys(t, holder) {
				require.Contains(t, d.act(t, d.unitOn(t, id), "run-checks", nil)["summary"], now)
			}
		})
		d.scenario(t, "with healthcheck_target="+target+" a standby without the service does not count as healthy", func(t *testing.T) {
			holder := d.repaired(t)
			id := d.standbys(t, holder)[0]
			unit := d.unitOn(t, id)
			unnoticed(t, d.measure(t, time.Second, func() { d.run(t, id, "systemctl stop haproxy") }))
			poll.Until(t, func() bool { return d.verdict(t, unit) == "sick" }, 10*time.Second, 50*time.Millisecond)
			want := "VIP ready: standby for " + vip + ", holder " + d.unitOn(t, holder) + "; check fails here: " + stopped + ": juju run " + unit + " run-checks"
			d.saysExactly(t, unit, "active: "+want)

			// The other standby takes over: that one has the service.
			moved(t, d.measure(t, 2*time.Second, func() { d.run(t, holder, "systemctl stop haproxy") }), serviceDies)
			next := d.waitHolder(t)
			require.NotContains(t, []string{id, holder}, next)
			s := d.shows(t, d.unitOn(t, holder), func(s lab.Said) bool { return strings.Contains(s.Message, "check fails here") })
			require.Contains(t, s.Message, "; check fails here: ")

			// Nobody takes it back when their services return.
			unnoticed(t, d.measure(t, 2*time.Second, func() { d.repaired(t) }))
			require.Equal(t, next, d.ready(t))
		})
	}
	d.scenario(t, "what the holder's service answers counts", func(t *testing.T) {
		d.configure(t, "healthcheck_type=http", "healthcheck_target="+vip+":443")
		sick := d.repaired(t)
		moved(t, d.measure(t, 2*time.Second, func() { d.run(t, sick, "systemctl kill --signal=STOP haproxy.service") }), serviceHangs)
		// It has not shown that it answers again, as long as it is the same process.
		d.run(t, sick, "systemctl kill --signal=CONT haproxy.service")
		d.updateStatus(t)
		d.saysExactly(t, d.unitOn(t, sick), "active: "+d.role(t, sick)+"; check fails here: cannot get http://"+vip+":443/: timed out when the address was last here: juju run "+d.unitOn(t, sick)+" run-checks")
		d.run(t, sick, "systemctl restart haproxy.service")
		d.ready(t)
	})
	// Longer than the 15 s for which a single check may last until systemd kills.
	d.scenario(t, "a service that hangs gets its verdict, however long that takes", func(t *testing.T) {
		d.configure(t, "healthcheck_type=tcp", "healthcheck_target=", "healthcheck_timeout=5", "healthcheck_fall=20")
		sick := d.repaired(t)
		restarts := func() string {
			return d.run(t, sick, "systemctl show --value --property=NRestarts "+checkerService)
		}
		before, begin := restarts(), time.Now()
		moved(t, d.measure(t, 2*time.Second, func() {
			d.run(t, sick, "systemctl kill --signal=STOP haproxy.service")
			poll.Until(t, func() bool { return d.verdict(t, d.unitOn(t, sick)) == "sick" }, 60*time.Second, 100*time.Millisecond)
		}), 60*time.Second)
		t.Logf("unhealthy within %v, 20 s are promised", time.Since(begin).Round(100*time.Millisecond))
		require.Equal(t, before, restarts(), "systemd has killed nothing")
		require.NotEqual(t, sick, d.waitHolder(t))
		d.run(t, sick, "systemctl kill --signal=CONT haproxy.service; systemctl restart haproxy.service")
		d.ready(t)
	})
}
