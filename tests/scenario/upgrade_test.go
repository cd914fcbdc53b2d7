package scenario_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

var (
	upgrades     = flag.Int("upgrades", 1, "how many upgrades of three units from the Python charm to measure, each in an order of its own")
	firstUpgrade = flag.Uint64("first-upgrade", 11, "the seed of the first order")
)

const (
	// upgradePause is at most how long the agent of a unit waits after the one
	// before: an upgrade's hooks take about three seconds, so some overlap.
	upgradePause = 6 * time.Second
	// pythonInterval is the Python charm's advertisement interval.
	pythonInterval = time.Second
)

// python deploys the Python charm beside haproxy, serving and related.
func python(t *testing.T, units int) *deployment {
	t.Helper()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", units, nil))
	require.NoError(t, d.DeployPython(map[string]string{"virtual_ip": lab.VIP.String() + "/24"}))
	for _, ends := range [][2]string{{"haproxy", "keepalived:juju-info"}, {website, worker}, {loadBalancer, controlNode}} {
		if ends[0] != "haproxy" {
			name, _, _ := strings.Cut(ends[1], ":")
			require.NoError(t, d.Consumer(name))
		}
		require.NoError(t, d.Integrate(ends[0], ends[1]))
	}
	d.settled(t)
	d.servesForPython(t)
	return d
}

// elected waits until units of the Python charm have found their holder for good: the
// leader outranks the others, and takes the address from who was there first.
func (d *deployment) elected(t *testing.T, vip netip.Addr) {
	t.Helper()
	const calm = 4 * time.Second // three of its intervals and some
	for range 5 {
		began := time.Now()
		time.Sleep(calm)
		if h := d.Holders.Between(vip, began, time.Now()); len(h.Moves) == 0 && h.None == 0 && h.Shared == 0 {
			return
		}
	}
	require.Fail(t, "units of the Python charm find no holder")
}

// servesForPython requires the state that the Python charm leaves.
func (d *deployment) servesForPython(t *testing.T) {
	t.Helper()
	d.waitHolder(t)
	d.elected(t, lab.VIP)
	d.allSay(t, "active", "VIP ready")
	d.publishes(t, website, worker, map[string]string{
		"hostname": "10.10.74.250", "private-address": "10.10.74.250", "port": "443"})
	d.publishes(t, loadBalancer, controlNode, map[string]string{"public-address": "10.10.74.250", "port": "443"})
	for _, unit := range d.units() {
		text := d.run(t, d.machineOf(t, unit), "cat /etc/keepalived/keepalived.conf; ls -Ad "+leftovers(unit))
		require.Contains(t, text, "vrrp_script chk_svc_port")
		require.Contains(t, text, "10.10.74.250/24")
		require.Equal(t, 5, strings.Count(text, "/var/lib/juju/"), "all that the Python charm leaves")
	}
	// Two of its standbys may take the address at once; clients find the right one
	// when it says so again, after five seconds.
	poll.Until(t, func() bool {
		m := d.measure(t, time.Second, func() {})
		return m.Lost == 0 && m.Shared == 0 && m.Cuts == 0
	}, 20*time.Second, time.Millisecond, "the Python charm serves")
}

// leftovers are the paths of what the Python charm leaves of itself.
func leftovers(unit string) string {
	dir := "/var/lib/juju/agents/unit-" + strings.ReplaceAll(unit, "/", "-")
	return dir + "/.venv " + dir + "/charm/.unit-state.db " + dir + "/charm/reactive " + dir + "/charm/lib " + dir + "/charm/templates"
}

// refresh upgrades the application while no agent runs.
func (d *deployment) refresh(t *testing.T) {
	t.Helper()
	for _, unit := range d.units() {
		require.NoError(t, d.StopAgent(d.ctx, unit))
	}
	require.NoError(t, d.Refresh())
}

// follow starts the agent of a unit and waits for its upgrade.
func (d *deployment) follow(t *testing.T, unit string) {
	t.Helper()
	since := time.Now()
	require.NoError(t, d.StartAgent(d.ctx, unit))
	d.followed(t, unit, since)
}

// followed waits for the upgrade of a unit.
func (d *deployment) followed(t *testing.T, unit string, since time.Time) {
	t.Helper()
	err := d.WaitEvent(d.ctx, since, func(e lab.Event) bool {
		return e.Unit == unit && e.Kind == lab.End && e.Name == "config-changed"
	})
	require.NoError(t, err)
}

// upgraded requires that nothing of the Python charm is left and that all units
// have moved to VRRP version 3.
func (d *deployment) upgraded(t *testing.T) {
	t.Helper()
	for _, unit := range d.units() {
		id := d.machineOf(t, unit)
		require.Empty(t, d.run(t, id, "ls -Ad "+leftovers(unit)+" 2>/dev/null || true"), unit)
		text := d.run(t, id, "cat /etc/keepalived/keepalived.conf /etc/keepalived/charm.d/*.conf /etc/sysctl.d/50-keepalived.conf")
		require.NotContains(t, text, "chk_svc_port", unit)
		require.Contains(t, text, "net.ipv6.ip_nonlocal_bind = 1", unit)
		require.Contains(t, text, "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112", unit)
		require.NotContains(t, d.run(t, id, "ip address show dev lo"), lab.VIP.String(), "nothing is pinned on %s", unit)
	}
}

// published is what related applications are told.
func (d *deployment) published(t *testing.T) map[string]map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]map[string]string{}
	for ours, theirs := range map[string]string{website: worker, loadBalancer: controlNode} {
		bags, err := d.Databags("keepalived", ours, theirs)
		require.NoError(t, err)
		all[ours] = bags
	}
	return all
}

// untouched is what must not change under a service: the package and the process.
func (d *deployment) untouched(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, unit := range d.units() {
		all[unit] = d.run(t, d.machineOf(t, unit), "cat /var/log/dpkg.log; systemctl show --property=MainPID,InvocationID keepalived")
	}
	return all
}

// upgradeInOrder measures one upgrade: the agents follow in a random order, with
// pauses or all at once.
func upgradeInOrder(t *testing.T, units int, seed uint64) {
	d := python(t, units)
	d.scenario(t, fmt.Sprintf("clients notice nothing of an upgrade of %d unit(s), seed %d", units, seed), func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 74))
		names := d.units()
		r.Shuffle(len(names), func(a, b int) { names[a], names[b] = names[b], names[a] })
		t.Logf("%s holds; order %v", d.unitOn(t, d.waitHolder(t)), names)
		bags, services := d.published(t), d.untouched(t)
		unnoticed(t, d.measure(t, 3*time.Second, func() {
			d.refresh(t)
			since, atOnce := time.Now(), r.IntN(4) == 0
			for _, unit := range names {
				if !atOnce {
					time.Sleep(time.Duration(r.Int64N(int64(upgradePause))))
				}
				require.NoError(t, d.StartAgent(d.ctx, unit))
			}
			for _, unit := range names {
				d.followed(t, unit, since)
			}
			d.settled(t)
		}))
		d.updateStatus(t)
		d.upgraded(t)
		require.Equal(t, bags, d.published(t), "related applications see no change")
		require.Equal(t, services, d.untouched(t), "keepalived was neither installed nor started again")
		d.truthful(t, d.ready(t))
	})
}

func TestUpgradeFromThePythonCharm(t *testing.T) {
	t.Parallel()
	for n := range *upgrades {
		upgradeInOrder(t, 3, *firstUpgrade+uint64(n))
	}
}

func TestUpgradeOfASingleUnit(t *testing.T) {
	t.Parallel()
	upgradeInOrder(t, 1, 1)
}

// TestUpgradeWithAnIPv6VirtualIP: keepalived takes version 3 for it, so both charms'
// units do.
func TestUpgradeWithAnIPv6VirtualIP(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 2, nil))
	require.NoError(t, d.DeployPython(map[string]string{"virtual_ip": vip6.String() + "/64"}))
	require.NoError(t, d.Integrate("haproxy", "keepalived:juju-info"))
	d.settled(t)
	d.holderOf(t, vip6)
	d.elected(t, vip6)
	d.scenario(t, "clients notice nothing of an upgrade with an IPv6 virtual IP", func(t *testing.T) {
		d.unnoticedBy(t, func() {
			d.refresh(t)
			first, last := d.units()[0], d.units()[1]
			d.follow(t, first)
			require.Contains(t, d.parameters(t, d.machineOf(t, first)), "version=3 mode=multicast vrid=23 interval=1s anchor="+vip6.String())
			d.follow(t, last)
			d.settled(t)
		}, vip6)
		d.updateStatus(t)
		for _, unit := range d.units() {
			require.Contains(t, d.parameters(t, d.machineOf(t, unit)), "interval=200ms anchor=fd70:")
		}
		d.allSay(t, "active", "VIP ready")
	})
}

// TestFailoverBetweenUpgradedUnitsAndOthers leaves an upgrade half way.
func TestFailoverBetweenUpgradedUnitsAndOthers(t *testing.T) {
	t.Parallel()
	d := python(t, 3)
	former := d.waitHolder(t)
	unit := d.unitOn(t, d.standbys(t, former)[0])
	upgraded := d.machineOf(t, unit)
	d.scenario(t, "a standby that is upgraded takes nothing", func(t *testing.T) {
		unnoticed(t, d.measure(t, 5*time.Second, func() {
			d.refresh(t)
			d.follow(t, unit)
		}))
		poll.Until(t, func() bool { return d.verdict(t, unit) == "healthy" }, 5*time.Second, 50*time.Millisecond)
	})
	others := d.standbys(t, upgraded)
	d.scenario(t, "it takes over when every service of the others is dead", func(t *testing.T) {
		d.measure(t, 5*time.Second, func() { d.services(t, "stop", others...) })
		require.Equal(t, upgraded, d.waitHolder(t))
	})
	d.scenario(t, "it keeps the virtual IP when they return", func(t *testing.T) {
		unnoticed(t, d.measure(t, 6*time.Second, func() { d.services(t, "start", others...) }))
	})
	d.scenario(t, "it gives the virtual IP away when its own service dies, and does not take it back", func(t *testing.T) {
		m := d.measure(t, 4*time.Second, func() { d.services(t, "stop", upgraded) })
		require.Less(t, m.Outage, patience.With(serviceDies))
		require.LessOrEqual(t, m.Shared, patience.With(pythonInterval))
		require.NotEqual(t, upgraded, d.waitHolder(t))
		m = d.measure(t, 5*time.Second, func() { d.services(t, "start", upgraded) })
		require.Empty(t, m.Moves)
	})
	d.scenario(t, "clients notice nothing of the rest of the upgrade", func(t *testing.T) {
		d.waitHolder(t)
		unnoticed(t, d.measure(t, 3*time.Second, func() {
			for _, id := range others {
				d.follow(t, d.unitOn(t, id))
			}
			d.settled(t)
		}))
		d.updateStatus(t)
		d.upgraded(t)
	})
}

// services stops or starts haproxy on machines.
func (d *deployment) services(t *testing.T, verb string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		d.run(t, id, "systemctl "+verb+" haproxy")
	}
}

// ours lists what of this charm is on a machine.
const ours = `
systemctl list-units --all --plain --no-legend 'keepalived-*' || true
systemctl list-unit-files --plain --no-legend 'keepalived-*' || true
systemctl show --property=DropInPaths --value keepalived | grep . || true
ls -Ad /etc/systemd/system/*.wants/keepalived-* /etc/keepalived/charm.d /var/lib/keepalived-charm/keepalived /run/keepalived-charm 2>/dev/null || true
pgrep --full --list-full 'keepalived-charm (checker|notify|prepare|yield)' || true
`

// servedByPython requires that one machine serves, for the Python charm.
func (d *deployment) servedByPython(t *testing.T) {
	t.Helper()
	d.settled(t)
	d.waitHolder(t)
	d.elected(t, lab.VIP)
	d.waitHolder(t)
	d.allSay(t, "active", "VIP ready")
	for _, unit := range d.units() {
		id := d.machineOf(t, unit)
		require.Contains(t, d.run(t, id, "cat /etc/keepalived/keepalived.conf"), "vrrp_script chk_svc_port", unit)
		require.Equal(t, "active\n", d.run(t, id, "systemctl is-active keepalived"), unit)
	}
}

// TestBackToThePythonCharm: it knows nothing of this charm, so what must not stay ends by
// itself. Units of both do not hear each other on that way, so clients notice it. Juju
// forgets the peer relation and its agents do not: they go on listing it, with all that was
// told, and refuse to start again. New units know nothing of it.
func TestBackToThePythonCharm(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]string{"virtual_ip": lab.VIP.String() + "/24"})
	d.ready(t)
	python, err := d.Python()
	require.NoError(t, err)
	d.scenario(t, "unit by unit, one machine serves in the end", func(t *testing.T) {
		d.measure(t, 5*time.Second, func() {
			d.unitByUnit(t, python, d.units(), func(int) {})
		})
		d.servedByPython(t)
	})
	d.scenario(t, "of this charm nothing stays", func(t *testing.T) {
		for _, unit := range d.units() {
			id := d.machineOf(t, unit)
			left := "nothing"
			poll.Until(t, func() bool {
				if now := d.run(t, id, ours); now != left {
					left = now
					t.Logf("%s still has\n%s", unit, left)
				}
				return left == ""
			}, time.Minute, time.Second, unit)
		}
		d.servedByPython(t)
	})
	d.scenario(t, "units are made anew, and it serves on", func(t *testing.T) {
		m := d.measure(t, 3*time.Second, func() {
			require.NoError(t, d.RemoveRelation("haproxy:juju-info", "keepalived:juju-info"))
			d.gone(t, "keepalived")
		})
		require.Zero(t, m.Lost, "keepalived runs on where the Python charm is removed")
		require.NoError(t, d.Integrate("haproxy", "keepalived:juju-info"))
		d.servedByPython(t)
	})
	d.scenario(t, "and back again clients notice nothing", func(t *testing.T) {
		unnoticed(t, d.measure(t, 3*time.Second, func() {
			d.refresh(t)
			for _, unit := range d.units() {
				d.follow(t, unit)
			}
			d.settled(t)
		}))
		d.updateStatus(t)
		d.upgraded(t)
		d.truthful(t, d.ready(t))
	})
}
