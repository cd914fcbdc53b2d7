package scenario_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

// handVIP is the virtual IP of a keepalived that machine 2's owner configured.
var handVIP = netip.MustParseAddr("10.10.74.200")

// handmade installs and starts it. Neither owner nor mode are those that the
// package or the charm would give the file, and keepalived warns of its password.
const handmade = `
mkdir -p /etc/keepalived
cat >/etc/keepalived/keepalived.conf <<'CONF'
! kept by hand, before any charm
global_defs {
    router_id by_hand
}
vrrp_instance by_hand {
    interface eth0
    virtual_router_id 90
    priority 100
    authentication {
        auth_type PASS
        auth_pass more-than-eight
    }
    virtual_ipaddress {
        10.10.74.200/24
    }
}
CONF
chown daemon:adm /etc/keepalived/keepalived.conf
chmod 0604 /etc/keepalived/keepalived.conf
apt-get --quiet --yes update >&2
apt-get --quiet --yes install keepalived >&2
systemctl restart keepalived.service
`

// second is the other application of the charm.
const second = "keepalived-b"

// probed probes several virtual IPs around one event and for a rest after it.
func (d *deployment) probed(t *testing.T, rest time.Duration, event func(), vips ...netip.Addr) []lab.Measurement {
	t.Helper()
	all, err := d.MeasureAll(d.ctx, vips, rest, func(context.Context) error {
		event()
		return nil
	})
	require.NoError(t, err)
	for i, m := range all {
		t.Logf("%s: %v", vips[i], m)
	}
	return all
}

// unnoticedBy requires that clients of no such address noticed an event.
func (d *deployment) unnoticedBy(t *testing.T, event func(), vips ...netip.Addr) {
	t.Helper()
	for _, m := range d.probed(t, time.Second, event, vips...) {
		unnoticed(t, m)
	}
}

// say requires one status of every unit of an application.
func (d *deployment) say(t *testing.T, application, status, message string) {
	t.Helper()
	units := 0
	for name := range d.Units() {
		if strings.HasPrefix(name, application+"/") {
			units++
			s := d.shows(t, name, func(s lab.Said) bool { return s.Current == status && strings.Contains(s.Message, message) })
			require.Equal(t, status, s.Current, "%s: %s", name, s.Message)
			require.Contains(t, s.Message, message, name)
		}
	}
	require.NotZero(t, units)
}

// set sets options of an application.
func (d *deployment) set(t *testing.T, application string, options map[string]string) {
	t.Helper()
	require.NoError(t, d.SetConfig(application, options))
	d.settled(t)
}

// gone waits until an application has no units.
func (d *deployment) gone(t *testing.T, application string) {
	t.Helper()
	require.NoError(t, d.WaitUnits(d.ctx, "units of "+application+" to go", func(units map[string]lab.Unit) bool {
		for name := range units {
			if strings.HasPrefix(name, application+"/") {
				return false
			}
		}
		return true
	}))
	d.settled(t)
}

// beside deploys the charm beside haproxy.
func (d *deployment) beside(t *testing.T, application string, options map[string]string) {
	t.Helper()
	require.NoError(t, d.Deploy(d.ctx, "keepalived", application, 0, options))
	require.NoError(t, d.Integrate("haproxy", application+":juju-info"))
	d.settled(t)
}

func (d *deployment) holderOf(t *testing.T, vip netip.Addr) string {
	t.Helper()
	id, err := d.WaitHolder(d.ctx, vip)
	require.NoError(t, err)
	return id
}

const (
	identity  = "cd /etc/keepalived; stat --format '%U %G %a %i' "
	fragments = "ls /etc/keepalived/charm.d"
)

func TestNeighbours(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 3, nil))
	d.installs(t, "2", handmade)
	require.Equal(t, "2", d.holderOf(t, handVIP))
	before := map[string][]string{}
	for _, id := range []string{"0", "1", "2"} {
		before[id] = d.content(t, id)
	}
	file := d.run(t, "2", identity+"keepalived.conf")
	d.scenario(t, "a keepalived of the machine's owner serves on while the charm comes", func(t *testing.T) {
		d.unnoticedBy(t, func() { d.beside(t, "keepalived", serving()) }, handVIP)
		d.ready(t)
		require.Equal(t, file, d.run(t, "2", identity+"keepalived.conf.before-charm"))
	})
	d.clashes(t)
	delete(before, d.twoApplications(t)) // a boot changes too much for comparison
	d.scenario(t, "an application that is removed leaves the others alone", func(t *testing.T) {
		d.unnoticedBy(t, func() {
			require.NoError(t, d.RemoveApplication("keepalived"))
			d.gone(t, "keepalived")
		}, otherVIP, handVIP)
		require.Empty(t, d.holders(lab.VIP))
	})
	d.scenario(t, "after a broken relation every machine is as before, its owner's keepalived never stopped", func(t *testing.T) {
		d.unnoticedBy(t, func() {
			require.NoError(t, d.RemoveRelation("haproxy:juju-info", second+":juju-info"))
			d.gone(t, second)
		}, handVIP)
		require.Empty(t, d.holders(otherVIP))
		for id, was := range before {
			d.asBefore(t, id, was)
		}
		require.Equal(t, file, d.run(t, "2", identity+"keepalived.conf"), "owner, group, mode and inode")
	})
}

// clashes are what the later one of two on a machine is refused.
func (d *deployment) clashes(t *testing.T) {
	d.scenario(t, "a virtual router ID of the machine's owner blocks the unit there and disturbs nobody", func(t *testing.T) {
		d.unnoticedBy(t, func() {
			d.configure(t, "router_id=90")
			s := d.workload(t, d.unitOn(t, "2"))
			require.Equal(t, `blocked: option router_id is "90", must be another one, the keepalived.conf from before the charm uses it on interface eth0; meanwhile `+d.role(t, "2"),
				s.Current+": "+s.Message)
			d.configure(t, "router_id=23")
			d.ready(t)
		}, lab.VIP, handVIP)
		d.allSay(t, "active", "VIP ready")
	})
	d.scenario(t, "a second application with the same virtual router ID is blocked and names the first", func(t *testing.T) {
		d.unnoticedBy(t, func() { d.beside(t, second, map[string]string{"virtual_ip": otherVIP.String()}) }, lab.VIP, handVIP)
		d.say(t, second, "blocked", `option router_id is "23", must be another one, application keepalived uses it on interface eth0`)
		d.say(t, "keepalived", "active", "VIP ready")
		require.Empty(t, d.holders(otherVIP))
	})
	d.scenario(t, "a second application with the same virtual IP is blocked and names the first", func(t *testing.T) {
		d.unnoticedBy(t, func() {
			d.set(t, second, map[string]string{"virtual_ip": otherVIP.String() + "," + lab.VIP.String(), "router_id": "24"})
		}, lab.VIP, handVIP)
		d.say(t, second, "blocked", "must be a free address, "+lab.VIP.String()+" belongs to application keepalived")
		require.Empty(t, d.holders(otherVIP))
	})
}

// twoApplications returns the machine that it switched off and on.
func (d *deployment) twoApplications(t *testing.T) (booted string) {
	d.scenario(t, "two applications have two fragments, one daemon and a virtual IP each", func(t *testing.T) {
		d.unnoticedBy(t, func() {
			d.set(t, second, map[string]string{"virtual_ip": otherVIP.String()})
			d.holderOf(t, otherVIP)
		}, lab.VIP, handVIP)
		for _, id := range []string{"0", "1", "2"} {
			require.Equal(t, "keepalived-b.conf\nkeepalived.conf", strings.TrimSpace(d.run(t, id, fragments)))
			processes := d.run(t, id, "grep --line-regexp --files-with-matches keepalived /proc/[0-9]*/comm | wc -l")
			require.Equal(t, "2", strings.TrimSpace(processes), "the daemon and its VRRP process on machine %s", id)
		}
	})
	d.scenario(t, "the virtual IPs of one are spread over the units, and the other goes on", func(t *testing.T) {
		both := spread{d, []netip.Addr{otherVIP, otherVIP.Next()}}
		d.unnoticedBy(t, func() {
			d.set(t, second, map[string]string{"virtual_ip": both.vips[0].String() + "," + both.vips[1].String(), "spread": "true"})
			both.eachHoldsOne(t)
			d.set(t, second, map[string]string{"virtual_ip": otherVIP.String(), "spread": "false"})
			d.holderOf(t, otherVIP)
		}, lab.VIP, handVIP)
	})
	d.scenario(t, "changed options of one application are not noticed by the others", func(t *testing.T) {
		for application, c := range map[string]struct {
			options map[string]string
			other   netip.Addr
		}{
			second:       {map[string]string{"advert_interval": "0.3", "vip_hostname": "b.example.com"}, lab.VIP},
			"keepalived": {map[string]string{"virtual_ip": lab.VIP.String() + ",10.10.74.252"}, otherVIP},
		} {
			d.unnoticedBy(t, func() { d.set(t, application, c.options) }, c.other, handVIP)
			d.say(t, application, "active", "VIP ready")
		}
	})
	d.scenario(t, "the virtual IPs of both applications leave a dead machine", func(t *testing.T) {
		booted = d.ready(t)
		all := d.probed(t, 2*time.Second, func() { require.NoError(t, d.Kill(d.ctx, booted)) }, lab.VIP, otherVIP)
		moved(t, all[0], machineDies)
		require.Less(t, all[1].Outage, patience.With(machineDies))
		require.LessOrEqual(t, len(lasting(all[1].Moves)), 1)
		d.unnoticedBy(t, func() { d.heal(t, booted) }, lab.VIP, otherVIP)
		d.holderOf(t, handVIP)
	})
	return booted
}
