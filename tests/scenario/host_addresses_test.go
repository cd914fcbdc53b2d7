package scenario_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// TestHostAddresses is about what else happens to the addresses of a machine.
func TestHostAddresses(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 2, nil))
	d.beside(t, "keepalived", map[string]string{"virtual_ip": lab.VIP.String() + "/24"})
	d.waitHolder(t)
	d.scenario(t, "an unused bridge with a smaller subnet moves nothing", func(t *testing.T) {
		holder := d.ready(t)
		d.unnoticedBy(t, func() {
			d.onBoth(t, "ip link add br-x type bridge; ip address add 10.10.74.249/28 dev br-x")
			d.updateStatus(t)
			d.updateStatus(t)
		}, lab.VIP)
		require.Equal(t, "eth0", d.heldBy(t, holder, lab.VIP)[lab.VIP])
		d.allSay(t, "active", "VIP ready: ")
		d.onBoth(t, "ip link delete br-x")
	})
	d.scenario(t, "a machine whose own address is away while hooks run keeps it", func(t *testing.T) {
		holder := d.ready(t)
		unit := d.unitOn(t, holder)
		own := strings.TrimSpace(d.run(t, holder, "ip -4 -oneline address show dev eth0 | awk '$4 !~ /\\.250\\// {print $4}'"))
		t.Logf("%s has %s", unit, own)
		route := strings.TrimSpace(d.run(t, holder, "ip route show default")) // goes with it
		d.run(t, holder, "ip address delete "+own+" dev eth0")
		d.updateStatus(t)
		d.run(t, holder, "ip address add "+own+" broadcast + dev eth0; ip route replace "+route)
		d.updateStatus(t)
		d.waitHolder(t)
		d.settled(t)
		d.updateStatus(t)
		require.Contains(t, d.run(t, holder, "ip -4 address show dev eth0"), "inet "+own+" ")
		require.Contains(t, d.run(t, holder, "cat "+fragment), lab.VIP.String()+"/32 dev eth0")
	})
	d.foreignSubnet(t)
	d.copies(t)
}

// onBoth runs a script on every machine of the deployment.
func (d *deployment) onBoth(t *testing.T, script string) {
	t.Helper()
	for _, unit := range d.units() {
		d.run(t, d.machineOf(t, unit), script)
	}
}

func (d *deployment) foreignSubnet(t *testing.T) {
	first, second := netip.MustParseAddr("10.77.0.250"), netip.MustParseAddr("10.77.0.251")
	has := func(id string, a netip.Addr) func() bool {
		return func() bool {
			return strings.Contains(d.run(t, id, "ip -4 address show dev eth0"), "inet "+a.String()+"/24 ")
		}
	}
	d.scenario(t, "of two virtual IPs of a subnet that the machines are not in one goes, and the other stays", func(t *testing.T) {
		d.configure(t, "virtual_ip="+lab.VIP.String()+","+first.String()+"/24,"+second.String()+"/24")
		holder := d.ready(t)
		poll.Until(t, has(holder, first), time.Minute, 100*time.Millisecond)
		require.True(t, has(holder, second)())
		d.unnoticedBy(t, func() {
			d.configure(t, "virtual_ip="+lab.VIP.String()+","+second.String()+"/24")
		}, lab.VIP)
		require.False(t, has(holder, first)())
		require.True(t, has(holder, second)(), "the kernel did not take it along")
	})
	d.scenario(t, "a MASTER that lost an address without an event gets it back by no hook of Juju's", func(t *testing.T) {
		holder := d.ready(t)
		// A daemon that reads its files hears of no event meanwhile.
		d.run(t, holder, "pid=$(systemctl show --value --property=MainPID keepalived.service); pkill -STOP -x keepalived; "+
			"ip address delete "+second.String()+"/24 dev eth0; kill -HUP $pid; pkill -CONT -x keepalived")
		since := time.Now()
		// Where that took longer than an election another unit holds both.
		poll.Until(t, func() bool {
			both := d.holders(lab.VIP)
			return len(both) == 1 && slices.Equal(both, d.holders(second))
		}, time.Minute, 50*time.Millisecond)
		t.Logf("back after %v", time.Since(since).Round(10*time.Millisecond))
		d.ready(t)
	})
}

// copies is about what kube-proxy in IPVS mode does with the addresses of services.
func (d *deployment) copies(t *testing.T) {
	d.scenario(t, "a copy of the virtual IP on an interface without ARP is left alone", func(t *testing.T) {
		d.configure(t, option(lab.VIP))
		holder := d.ready(t)
		said := map[string]string{}
		for _, unit := range d.units() {
			said[unit] = d.workload(t, unit).Message
		}
		for _, m := range d.probed(t, time.Second, func() {
			d.onBoth(t, "ip link add kube-ipvs0 type bridge; ip link set kube-ipvs0 arp off; ip address add "+lab.VIP.String()+"/32 dev kube-ipvs0")
			defer d.onBoth(t, "ip link delete kube-ipvs0")
			d.updateStatus(t)
			for _, unit := range d.units() {
				require.Contains(t, d.run(t, d.machineOf(t, unit), "ip address show dev kube-ipvs0"), lab.VIP.String(), unit)
				require.Equal(t, said[unit], d.workload(t, unit).Message)
			}
			d.run(t, d.standbys(t, holder)[0], "systemctl restart keepalived.service; ip address show dev kube-ipvs0 | grep "+lab.VIP.String())
		}, lab.VIP) {
			// Whoever looks at addresses alone sees a holder in each of them.
			require.Zero(t, m.Lost, "no connection is lost")
			require.Zero(t, m.Cuts, "no connection is cut")
		}
	})
}
