package scenario_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// strict is a keepalived that a machine's owner configured as the sample files of many
// distributions do, with an instance of its own for machine $0.
const strict = `
mkdir -p /etc/keepalived
cat >/etc/keepalived/keepalived.conf <<CONF
global_defs {
    router_id LVS_DEVEL
    vrrp_skip_check_adv_addr
    vrrp_strict
    vrrp_garp_interval 0
    vrrp_gna_interval 0
    enable_script_security
    script_user nobody
}
vrrp_script fine {
    script "/bin/true"
    interval 2
}
vrrp_instance by_hand {
    interface eth0
    virtual_router_id 9$(hostname | tail -c 2)
    priority 100
    virtual_ipaddress {
        10.10.74.20$(hostname | tail -c 2)/24
    }
    track_script {
        fine
    }
}
CONF
apt-get --quiet --yes update >&2
apt-get --quiet --yes install keepalived >&2
systemctl restart keepalived.service
`

func TestOwnersDefaults(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 3, nil))
	for _, id := range []string{"0", "1", "2"} {
		d.installs(t, id, strict)
	}
	d.scenario(t, "vrrp_strict in the owner's keepalived.conf costs no connection", func(t *testing.T) {
		d.beside(t, "keepalived", serving())
		holder := d.ready(t)
		unnoticed(t, d.measure(t, 2*time.Second, func() { d.run(t, holder, "systemctl reload keepalived.service") }))
		d.truthful(t, holder)
	})
	d.scenario(t, "a machine that holds by failover answers too", func(t *testing.T) {
		holder := d.ready(t)
		moved(t, d.measure(t, 2*time.Second, func() { d.run(t, holder, "systemctl stop haproxy") }), serviceDies)
		d.run(t, holder, "systemctl start haproxy")
		d.ready(t)
	})
	d.scenario(t, "what an instance of before left in keepalived's packet filter is taken out", func(t *testing.T) {
		holder := d.ready(t)
		d.held(t, holder) // a hook would mend it at once
		d.run(t, holder, "sed -i '/strict_mode off/d; /^    accept$/d' /etc/keepalived/charm.d/keepalived.conf; systemctl reload keepalived.service")
		poll.Until(t, func() bool { return !d.answers(t) }, 30*time.Second, 100*time.Millisecond, "the fault is there")
		d.hold(t, holder, false)
		d.updateStatus(t)
		unnoticed(t, d.measure(t, 2*time.Second, func() {}))
		d.truthful(t, holder)
	})
	d.scenario(t, "a setting that breaks virtual IPs is named and ends nothing", func(t *testing.T) {
		holder := d.ready(t)
		const file = "/etc/keepalived/keepalived.conf.before-charm"
		unnoticed(t, d.measure(t, time.Second, func() {
			d.run(t, holder, "sed -i 's/vrrp_garp_interval 0/vrrp_garp_interval 1/' "+file)
			d.updateStatus(t)
		}))
		d.saysExactly(t, d.unitOn(t, holder), "active: VIP ready: holds "+lab.VIP.String()+"; "+file+
			" sets vrrp_garp_interval, which delays telling the network that virtual IPs moved: remove it")
	})
}

// answers tells whether the VIP answers within a second.
func (d *deployment) answers(t *testing.T) bool {
	t.Helper()
	c, err := d.Probe(d.ctx, lab.VIP)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(d.ctx, patience.With(time.Second))
	defer cancel()
	good := c.WaitGood(ctx) == nil
	_, err = c.Stop()
	require.NoError(t, err)
	return good
}

// watchless has keepalived start without an inotify instance, as on a machine where
// root has used up all.
const watchless = `
cat >/etc/systemd/system/keepalived.service.d/watchless.conf <<'UNIT'
[Service]
SystemCallFilter=~inotify_init inotify_init1
SystemCallErrorNumber=EMFILE
UNIT
systemctl daemon-reload
systemctl restart keepalived.service
`

// watching ends that.
const watching = `
rm -f /etc/systemd/system/keepalived.service.d/watchless.conf
systemctl daemon-reload
systemctl restart keepalived.service
`

func TestTrackFilesThatAreNotFollowed(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	const said = "waiting: keepalived does not follow the health check: journalctl -u keepalived"
	d.scenario(t, "units that nothing moves say so, and no action claims to have", func(t *testing.T) {
		d.ready(t)
		for _, unit := range d.units() {
			d.run(t, d.machineOf(t, unit), watchless)
		}
		for _, unit := range d.units() {
			poll.Until(t, func() bool { return d.message(unit) == said }, time.Minute, 100*time.Millisecond, "no hook is needed for it")
		}
		holder := d.waitHolder(t)
		unit := d.unitOn(t, holder)
		d.refuses(t, unit, "failover", nil, "cannot fail over: keepalived does not follow the health check")
		d.run(t, holder, "systemctl stop haproxy")
		poll.Until(t, func() bool { return strings.HasPrefix(d.message(unit), said+"; check fails here: ") }, time.Minute, 100*time.Millisecond)
		d.run(t, holder, "systemctl start haproxy")
	})
	d.scenario(t, "once they can, they follow again", func(t *testing.T) {
		for _, unit := range d.units() {
			d.run(t, d.machineOf(t, unit), watching)
		}
		holder := d.ready(t)
		for _, unit := range d.units() {
			poll.Until(t, func() bool { return strings.HasPrefix(d.message(unit), "active: VIP ready") }, time.Minute, 100*time.Millisecond)
		}
		m := d.measure(t, 3*time.Second, func() { d.run(t, holder, "systemctl stop haproxy") })
		require.Len(t, lasting(m.Moves), 1)
		d.run(t, holder, "systemctl start haproxy")
		d.ready(t)
	})
	d.scenario(t, "a kernel setting that drifted is put back", func(t *testing.T) {
		holder := d.ready(t)
		const setting = "/proc/sys/net/ipv4/ip_nonlocal_bind"
		unnoticed(t, d.measure(t, time.Second, func() {
			d.run(t, holder, "echo 0 >"+setting)
			d.updateStatus(t)
		}))
		require.Equal(t, "1", strings.TrimSpace(d.run(t, holder, "cat "+setting)))
	})
}
