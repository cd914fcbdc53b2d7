package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
)

// foreignConfig is a keepalived.conf of the machine's owner, with a virtual IP of
// its own.
const foreignConfig = `# kept by hand
global_defs {
    router_id by_hand
}
vrrp_instance by_hand {
    interface eth0
    state BACKUP
    virtual_router_id 77
    priority 100
    virtual_ipaddress {
        10.10.74.77
    }
}
`

// ownKeepalived gives a machine a keepalived before the charm comes.
const ownKeepalived = `
mkdir -p /etc/keepalived
cat >/etc/keepalived/keepalived.conf <<'CONF'
` + foreignConfig + `CONF
apt-get --quiet --yes update >&2
apt-get --quiet --yes install keepalived >&2
systemctl restart keepalived.service
echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind
for n in $(seq 300); do ip -4 address show | grep -q 10.10.74.77 && exit 0; sleep 0.1; done
exit 1
`

func TestUnitsComeAndGo(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 3, nil))
	d.installs(t, "2", ownKeepalived)
	before := map[string][]string{}
	for _, id := range []string{"0", "1", "2"} {
		before[id] = d.content(t, id)
	}
	d.scenario(t, "keepalived related to three machines serves, whatever keepalived was there", func(t *testing.T) {
		require.NoError(t, d.Deploy(d.ctx, "keepalived", "keepalived", 0, serving()))
		require.NoError(t, d.Integrate("haproxy", "keepalived:juju-info"))
		holder := d.ready(t)
		d.updateStatus(t)
		d.truthful(t, holder)
	})
	d.fileDeleted(t)
	d.unitAdded(t)
	booted := d.baseUpgraded(t)
	d.scenario(t, "a removed standby is not noticed", func(t *testing.T) {
		holder := d.ready(t)
		leaver := d.standbys(t, holder)[0]
		unnoticed(t, d.measure(t, time.Second, func() { d.removeUnit(t, leaver) }))
		if was, known := before[leaver]; known {
			d.asBefore(t, leaver, was, booted)
			delete(before, leaver)
		}
	})
	d.scenario(t, "a removed holder hands the virtual IP over before it goes", func(t *testing.T) {
		holder := d.ready(t)
		moved(t, d.measure(t, time.Second, func() { d.removeUnit(t, holder) }), handedOver)
		require.NotEqual(t, holder, d.waitHolder(t))
		if was, known := before[holder]; known {
			d.asBefore(t, holder, was, booted)
			delete(before, holder)
		}
		d.updateStatus(t)
		d.truthful(t, d.ready(t))
	})
	for _, row := range []struct {
		claim  string
		remove func() error
	}{
		{"without the relation to the principal nothing of keepalived is left", func() error {
			return d.RemoveRelation("haproxy:juju-info", "keepalived:juju-info")
		}},
		{"without the application nothing of keepalived is left", func() error { return d.RemoveApplication("keepalived") }},
	} {
		d.scenario(t, row.claim, func(t *testing.T) {
			if len(d.units()) == 0 {
				require.NoError(t, d.Integrate("haproxy", "keepalived:juju-info"))
			}
			d.ready(t)
			require.Less(t, d.gapsBeforeTheEnd(t, func() {
				require.NoError(t, row.remove())
				d.gone(t, "keepalived")
			}), handedOver)
			require.Empty(t, d.holders(lab.VIP))
			for id, was := range before {
				d.asBefore(t, id, was, booted)
			}
		})
	}
}

// gapsBeforeTheEnd connects to the virtual IP until nobody answers any more, and
// returns the longest time before in which nobody did.
func (d *deployment) gapsBeforeTheEnd(t *testing.T, event func()) time.Duration {
	t.Helper()
	c, err := d.Probe(d.ctx, lab.VIP)
	require.NoError(t, err)
	require.NoError(t, c.WaitGood(d.ctx))
	event()
	report, err := c.Stop()
	require.NoError(t, err)
	var longest time.Duration
	open := false
	for _, gap := range report.Gaps {
		t.Logf("nobody answered for %v, for good: %v", gap.Length(), gap.Open)
		if open = gap.Open; !open {
			longest = max(longest, gap.Length())
		}
	}
	require.True(t, open, "in the end nobody answers")
	return longest
}

// fileDeleted takes away a file without which Debian's keepalived 2.3 ends at once.
func (d *deployment) fileDeleted(t *testing.T) {
	if d.Net.Base() == machine.Bookworm {
		return // 2.2 has no such file
	}
	d.scenario(t, "a deleted file that keepalived needs is back after the next hook, and clients notice nothing", func(t *testing.T) {
		holder := d.ready(t)
		files := "sha256sum /etc/keepalived/keepalived.config-opts; systemctl show --property=InvocationID keepalived; dpkg --verify keepalived; ls /tmp"
		before := d.run(t, holder, files)
		unnoticed(t, d.measure(t, time.Second, func() {
			d.run(t, holder, "rm /etc/keepalived/keepalived.config-opts; ! keepalived --version 2>/dev/null")
			d.configure(t, "vip_hostname=mended.example.com")
			d.updateStatus(t)
		}))
		require.Equal(t, before, d.run(t, holder, files))
		d.truthful(t, holder)
		d.configure(t, "vip_hostname=")
	})
}

func (d *deployment) unitAdded(t *testing.T) {
	d.scenario(t, "an added unit is not noticed and renumbers nobody", func(t *testing.T) {
		d.ready(t)
		before, bags := d.pictures(t), d.databags()
		unnoticed(t, d.measure(t, 2*time.Second, func() {
			require.NoError(t, d.AddUnits(d.ctx, "haproxy", 1))
			d.settled(t)
		}))
		require.Len(t, d.units(), 4)
		for id, was := range before {
			require.Equal(t, was, d.picture(t, id))
		}
		after := d.databags()
		for relation, members := range bags {
			for unit, bag := range members {
				require.NotEmpty(t, after[relation][unit])
				for _, key := range []string{"rank", "principal", "vrrp"} {
					require.Equal(t, bag[key], after[relation][unit][key], "%s of %s", key, unit)
				}
			}
		}
		holder := d.ready(t)
		d.updateStatus(t)
		d.truthful(t, holder)
	})
}

// baseUpgraded returns the machine that it upgraded, and booted.
func (d *deployment) baseUpgraded(t *testing.T) (id string) {
	d.scenario(t, "a holder whose machine's base is upgraded hands over and comes back as a standby", func(t *testing.T) {
		id = d.ready(t)
		unit := d.unitOn(t, id)
		moved(t, d.measure(t, time.Second, func() {
			require.NoError(t, d.UpgradeMachine(d.ctx, id, "ubuntu@24.04"))
		}), handedOver)
		require.NotEqual(t, id, d.waitHolder(t))
		said := d.workload(t, unit)
		require.Equal(t, "maintenance: VIP handed over, serving nothing", said.Current+": "+said.Message)
		m, err := d.Machine(id)
		require.NoError(t, err)
		since := time.Now()
		unnoticed(t, d.measure(t, time.Second, func() {
			d.configure(t, "vip_hostname=upgraded.example.com")
			require.NoError(t, m.Reboot(d.ctx))
			d.settled(t)
			d.updateStatus(t)
		}))
		require.Empty(t, d.Hooks(unit, since), "no hook runs until the upgrade is complete")
		unnoticed(t, d.measure(t, 2*time.Second, func() {
			require.NoError(t, d.UpgradeMachine(d.ctx, id, ""))
			d.settled(t)
		}))
		holder := d.ready(t)
		d.configure(t, "vip_hostname=")
		d.updateStatus(t)
		d.truthful(t, holder)
	})
	return id
}

// removeUnit removes the principal unit on a machine, and keepalived's with it.
func (d *deployment) removeUnit(t *testing.T, id string) {
	t.Helper()
	unit := d.unitOn(t, id)
	principal, ok := d.UnitOn("haproxy", id)
	require.True(t, ok)
	require.NoError(t, d.DestroyUnit(principal))
	require.NoError(t, d.WaitUnits(d.ctx, unit+" to go", func(units map[string]lab.Unit) bool {
		_, there := units[unit]
		return !there
	}))
	d.settled(t)
}
