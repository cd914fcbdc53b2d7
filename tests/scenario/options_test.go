package scenario_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

// otherVIP is a second free address of the lab's subnet.
var otherVIP = netip.MustParseAddr("10.10.74.251")

// good are the values that bad ones are cleared with.
func good() map[string]string {
	return map[string]string{
		"virtual_ip": lab.VIP.String(), "vip_hostname": "", "port": "443", "router_id": "23",
		"network_interface": "", "healthcheck_interval": "1",
	}
}

// refused are values of options and what the unit must say about each: one of every kind, what
// Juju passes on as it was typed and what only the machine knows. Package config has them all.
var refused = []struct{ option, value, must string }{
	{"virtual_ip", "garbage", "an IP address"},
	{"virtual_ip", "10.10.74.255", "a free host address, 10.10.74.255 is the broadcast address of 10.10.74.0/24"},
	{"router_id", "256", "in 1-255"},
	{"port", "0", "in 1-65535"},
	{"network_interface", "eth9", "an interface of this machine (eth0)"},
	{"network_interface", "eth0\nvirtual_ipaddress", "the name of a network interface"},
	{"vip_hostname", "api.example.com\n}", "a host name"},
	{"healthcheck_interval", "4294967296", "in 1-3600"},
}

func TestOptions(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.consume(t, "kubernetes-worker", website, worker)
	d.badOptions(t)
	d.harmlessOptions(t)
	d.scenario(t, "update-status ten times changes nothing", func(t *testing.T) {
		d.ready(t)
		d.updateStatus(t)
		before, bags := d.pictures(t), d.databags()
		unnoticed(t, d.measure(t, time.Second, func() {
			for range 10 {
				since := time.Now()
				d.updateStatus(t)
				for _, unit := range d.units() {
					for _, hook := range d.Hooks(unit, since) {
						require.Equal(t, "update-status", hook, "nothing comes of it")
					}
				}
			}
		}))
		require.Equal(t, before, d.pictures(t))
		require.Equal(t, bags, d.databags())
	})
	d.changedVIP(t)
}

// told are the databags without what Juju itself writes in config-changed.
func (d *deployment) told() map[int]map[string]map[string]string {
	bags := d.databags()
	for _, units := range bags {
		for unit, bag := range units {
			units[unit] = maps.Clone(bag)
			delete(units[unit], "private-address")
		}
	}
	return bags
}

func (d *deployment) badOptions(t *testing.T) {
	own, ok := d.Units()["keepalived/1"]
	require.True(t, ok)
	rows := append(slices.Clone(refused), struct{ option, value, must string }{
		"virtual_ip", own.Address, "a free address, " + own.Address + " is the own address of keepalived/1"})
	holder := d.ready(t)
	before, bags := d.pictures(t), d.told()
	var after map[string]string
	m := d.measure(t, time.Second, func() {
		for _, row := range rows {
			d.scenario(t, fmt.Sprintf("%s=%q blocks and changes nothing", row.option, row.value), func(t *testing.T) {
				values := good()
				values[row.option] = row.value
				require.NoError(t, d.SetConfig("keepalived", values))
				d.settled(t)
				d.allSay(t, "blocked", fmt.Sprintf("option %s is %q, must be ", row.option, row.value))
				for _, unit := range d.units() {
					require.Contains(t, d.workload(t, unit).Message, row.must)
				}
				require.Equal(t, before, d.pictures(t))
				require.Equal(t, bags, d.told())
			})
		}
		d.scenario(t, "what Juju puts in the place of the virtual IP after config-changed is made good while blocked", func(t *testing.T) {
			d.publishes(t, website, worker, map[string]string{"hostname": lab.VIP.String(), "private-address": lab.VIP.String(), "port": "443"})
			d.allSay(t, "blocked", "option ")
		})
		d.scenario(t, "a good value clears the block and changes nothing either", func(t *testing.T) {
			require.NoError(t, d.SetConfig("keepalived", good()))
			d.settled(t)
			d.allSay(t, "active", "VIP ready")
			d.truthful(t, holder)
			after = d.pictures(t)
		})
	})
	d.scenario(t, "clients notice nothing of bad values", func(t *testing.T) {
		unnoticed(t, m)
		require.Equal(t, before, after)
	})
}

// oneConfigChanged requires that each unit ran config-changed once and nothing else.
func (d *deployment) oneConfigChanged(t *testing.T, since time.Time) {
	t.Helper()
	for _, unit := range d.units() {
		require.Equal(t, []string{"config-changed"}, d.Hooks(unit, since), unit)
	}
}

func (d *deployment) harmlessOptions(t *testing.T) {
	d.scenario(t, "a changed hostname is published and noted, and touches nothing else on the machines", func(t *testing.T) {
		d.ready(t)
		before := withoutNote(d.pictures(t))
		since := time.Now()
		unnoticed(t, d.measure(t, time.Second, func() { d.configure(t, "vip_hostname=api.example.com") }))
		d.oneConfigChanged(t, since)
		require.Equal(t, before, withoutNote(d.pictures(t)))
		d.publishes(t, website, worker, map[string]string{
			"hostname": "api.example.com", "private-address": "10.10.74.250", "port": "443"})
	})
	d.scenario(t, "a changed port is published and checked, without a reload of keepalived", func(t *testing.T) {
		t.Cleanup(func() {
			d.configure(t, "port=443", "vip_hostname=")
			d.ready(t)
		})
		// haproxy answers there on loopback.
		before := d.reloads(t)
		since := time.Now()
		unnoticed(t, d.measure(t, 2*time.Second, func() { d.configure(t, "port=8080") }))
		d.oneConfigChanged(t, since)
		require.Equal(t, before, d.reloads(t))
		for id := range d.pictures(t) {
			require.Contains(t, d.run(t, id, "cat /var/lib/keepalived-charm/keepalived/checker.json"), "localhost:8080")
		}
		d.updateStatus(t)
		d.publishes(t, website, worker, map[string]string{
			"hostname": "api.example.com", "private-address": "10.10.74.250", "port": "8080"})
	})
	for _, option := range []string{"network_interface=eth0", "healthcheck_interval=2", "all_unhealthy=drop", "healthcheck_type=none"} {
		d.scenario(t, "clients notice nothing of "+option, func(t *testing.T) {
			d.ready(t)
			since := time.Now()
			unnoticed(t, d.measure(t, time.Second, func() { d.configure(t, option) }))
			if option != "network_interface=eth0" { // on which the units agree, by several hooks
				d.oneConfigChanged(t, since)
			}
			d.allSay(t, "active", "VIP ready")
		})
	}
	d.scenario(t, "clients notice nothing of defaults taken back", func(t *testing.T) {
		unnoticed(t, d.measure(t, time.Second, func() {
			require.NoError(t, d.ResetConfig("keepalived", "network_interface", "healthcheck_interval", "all_unhealthy", "healthcheck_type"))
			d.settled(t)
		}))
		d.ready(t)
	})
}

// reloads counts, by machine, how often keepalived was told to reload.
func (d *deployment) reloads(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, unit := range d.units() {
		id := d.machineOf(t, unit)
		counts[id] = strings.Count(d.run(t, id, "journalctl --quiet --output=cat --unit=keepalived.service"), "\nReloading keepalived.service")
	}
	return counts
}

// serves requires one holder that answers on an address and nobody with another.
func (d *deployment) serves(t *testing.T, vip, former netip.Addr) {
	t.Helper()
	_, err := d.WaitHolder(d.ctx, vip)
	require.NoError(t, err)
	require.Empty(t, d.holders(former))
	for _, unit := range d.units() {
		require.NotContains(t, d.run(t, d.machineOf(t, unit), "ip address"), former.String())
	}
	d.publishes(t, website, worker, map[string]string{
		"hostname": vip.String(), "private-address": vip.String(), "port": "443"})
}

func (d *deployment) changedVIP(t *testing.T) {
	d.scenario(t, "a changed virtual IP replaces the old one everywhere, and is served at once", func(t *testing.T) {
		d.ready(t)
		before := d.reloads(t)
		since := time.Now()
		d.configure(t, "virtual_ip="+otherVIP.String())
		d.serves(t, otherVIP, lab.VIP)
		d.oneConfigChanged(t, since)
		require.LessOrEqual(t, d.Holders.Between(otherVIP, since, time.Now()).Shared, patience.With(sharedAtMost))
		for id, count := range d.reloads(t) {
			require.Equal(t, before[id]+1, count, "machine %s reloads once", id)
		}
	})
	d.scenario(t, "of two changes in a row the last one counts", func(t *testing.T) {
		for _, vip := range []string{"10.10.74.252", otherVIP.String() + "/24", lab.VIP.String()} {
			require.NoError(t, d.SetConfig("keepalived", map[string]string{"virtual_ip": vip}))
			time.Sleep(30 * time.Millisecond) // within a hook
		}
		d.settled(t)
		d.serves(t, lab.VIP, otherVIP)
		require.Empty(t, d.holders(netip.MustParseAddr("10.10.74.252")))
		holder := d.ready(t)
		d.updateStatus(t)
		d.truthful(t, holder)
	})
	d.scenario(t, "a removed virtual IP is withdrawn from the machines and the databags", func(t *testing.T) {
		d.configure(t, "virtual_ip="+lab.VIP.String()) // whatever came before
		d.ready(t)
		d.configure(t, "virtual_ip=")
		d.allSay(t, "blocked", "Please configure virtual ips")
		require.Empty(t, d.holders(lab.VIP))
		d.publishes(t, website, worker, nil)
		for id, before := range d.pictures(t) {
			require.NotContains(t, before, "/charm.d/keepalived.conf", "machine %s", id)
			require.NotContains(t, d.run(t, id, "ip address"), lab.VIP.String())
		}
	})
	d.scenario(t, "a virtual IP set again is served again", func(t *testing.T) {
		d.configure(t, "virtual_ip="+lab.VIP.String())
		d.serves(t, lab.VIP, otherVIP)
		d.ready(t)
	})
}
