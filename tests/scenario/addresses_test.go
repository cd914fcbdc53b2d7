package scenario_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/poll"
)

var (
	// vip6 is a virtual IP of the other family, farVIP one on the second interface.
	vip6   = netip.MustParseAddr("fd00:74::250")
	farVIP = netip.MustParseAddr("10.10.76.250")
)

// many lists virtual IPs: lab.VIP first, vip6 last, and others between, a fifth of
// them IPv4.
func many(n int) []netip.Addr {
	list := []netip.Addr{lab.VIP}
	for i := range n - 2 {
		a := fmt.Sprintf("fd00:74::1:%x", i)
		if i%5 == 0 {
			a = fmt.Sprintf("10.10.74.%d", 100+i/5)
		}
		list = append(list, netip.MustParseAddr(a))
	}
	return append(list, vip6)
}

// option is a list of virtual IPs as the operator writes it.
func option(list ...netip.Addr) string {
	var words []string
	for _, a := range list {
		words = append(words, a.String())
	}
	return "virtual_ip=" + strings.Join(words, ",")
}

// oneAfterTheOther sets an option that the units learn half a second apart, each
// when the one before has changed.
func (d *deployment) oneAfterTheOther(t *testing.T, setting string) {
	t.Helper()
	for _, unit := range d.units() {
		d.signalAgent(t, unit, "STOP")
	}
	name, value, _ := strings.Cut(setting, "=")
	require.NoError(t, d.SetConfig("keepalived", map[string]string{name: value}))
	for _, unit := range d.units() {
		since := time.Now()
		d.signalAgent(t, unit, "CONT")
		err := d.WaitEvent(d.ctx, since, func(e lab.Event) bool {
			return e.Unit == unit && e.Kind == lab.End && e.Name == "config-changed"
		})
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
	}
	d.settled(t)
}

// heldBy lists a machine's addresses of a list with their interfaces, and requires
// that clients can use them at once.
func (d *deployment) heldBy(t *testing.T, id string, list ...netip.Addr) map[netip.Addr]string {
	t.Helper()
	found := map[netip.Addr]string{}
	line := regexp.MustCompile(`^\d+: (\S+) +inet6? ([^/ ]+)/\d+ (.*)$`)
	for text := range strings.Lines(d.run(t, id, "ip -oneline address show")) {
		m := line.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			continue
		}
		for _, a := range list {
			if a.String() == m[2] {
				require.NotRegexp(t, "tentative|dadfailed|optimistic", m[3], "%s on machine %s", a, id)
				found[a] = m[1]
			}
		}
	}
	return found
}

// dies cuts the holder's power while first and last are probed, and requires that
// all move to one machine in the time of one. It returns the dead machine.
func (d *deployment) dies(t *testing.T, list []netip.Addr) string {
	t.Helper()
	dead := d.ready(t)
	require.Len(t, d.heldBy(t, dead, list...), len(list))
	for _, m := range d.probed(t, 2*time.Second, func() { require.NoError(t, d.Kill(d.ctx, dead)) }, list[0], list[len(list)-1]) {
		moved(t, m, machineDies)
	}
	holder := d.waitHolder(t)
	require.NotEqual(t, dead, holder)
	require.Len(t, d.heldBy(t, holder, list...), len(list), "all are on machine %s", holder)
	return dead
}

// TestAddresses has the cores to itself: 500 addresses keep one busy.
func TestAddresses(t *testing.T) {
	two := []netip.Addr{lab.VIP, vip6}
	d := deploy(t, map[string]string{"virtual_ip": lab.VIP.String() + "/24, " + vip6.String()})
	for _, unit := range d.units() {
		d.run(t, d.machineOf(t, unit), "echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_dad")
	}
	d.scenario(t, "own, peers' and repeated addresses in a list are refused, and nobody notices", func(t *testing.T) {
		holder := d.ready(t)
		own, ok := d.Units()["keepalived/1"]
		require.True(t, ok)
		machine, err := d.Machine(own.Machine)
		require.NoError(t, err)
		d.unnoticedBy(t, func() {
			for value, must := range map[string]string{
				lab.VIP.String() + "," + vip6.String() + "," + lab.VIP.String(): "twice",
				lab.VIP.String() + "," + own.Address:                            own.Address + " is the own address of keepalived/1",
				lab.VIP.String() + "," + machine.Port().IPv6.Addr().String():    " is the own address of keepalived/1",
			} {
				d.configure(t, "virtual_ip="+value)
				for _, unit := range d.units() {
					s := d.workload(t, unit)
					require.Equal(t, "blocked", s.Current)
					require.Contains(t, s.Message, must, unit)
				}
			}
			d.configure(t, option(two...))
		}, two...)
		require.Equal(t, holder, d.ready(t))
	})
	sixtyFour := many(64)
	d.scenario(t, "virtual IPs added while units change one after the other are not noticed on the others", func(t *testing.T) {
		d.ready(t)
		d.unnoticedBy(t, func() { d.oneAfterTheOther(t, option(sixtyFour...)) }, two...)
	})
	d.scenario(t, "64 virtual IPs of both families move together in the time of one", func(t *testing.T) {
		dead := d.dies(t, sixtyFour)
		d.unnoticedBy(t, func() { d.heal(t, dead) }, two...)
	})
	d.manyAddresses(t)
	d.interfaces(t)
}

func (d *deployment) manyAddresses(t *testing.T) {
	all := many(500)
	d.scenario(t, "500 virtual IPs are served, and move in the time of one", func(t *testing.T) {
		d.ready(t)
		since := time.Now()
		d.configure(t, option(all...))
		d.ready(t)
		begun := map[string]time.Time{}
		for _, e := range d.Events() {
			switch {
			case e.Time.Before(since) || e.Name != "config-changed":
			case e.Kind == lab.Begin:
				begun[e.Unit] = e.Time
			case e.Kind == lab.End:
				t.Logf("config-changed with 500 virtual IPs took %v on %s", e.Time.Sub(begun[e.Unit]).Round(time.Millisecond), e.Unit)
			}
		}
		cpu := func(id string) time.Duration {
			text := d.run(t, id, "systemctl show --value --property=CPUUsageNSec keepalived.service")
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			require.NoError(t, err)
			return time.Duration(n)
		}
		before := map[string]time.Duration{}
		for _, id := range []string{"0", "1", "2"} {
			before[id] = cpu(id)
		}
		dead := d.dies(t, all)
		holder := d.waitHolder(t)
		t.Logf("taking 500 virtual IPs over cost %v of CPU", (cpu(holder) - before[holder]).Round(time.Millisecond))
		d.heal(t, dead)
		d.ready(t)
		d.configure(t, option(lab.VIP, vip6))
	})
}

func (d *deployment) interfaces(t *testing.T) {
	all := []netip.Addr{lab.VIP, vip6, farVIP}
	places := func(id string) map[netip.Addr]string { return d.heldBy(t, id, all...) }
	right := map[netip.Addr]string{lab.VIP: machine.Interface, vip6: machine.Interface, farVIP: machine.SecondInterface}
	d.scenario(t, "each virtual IP is on the interface of its subnet, unless an option names one", func(t *testing.T) {
		holder := d.ready(t)
		require.NoError(t, d.Net.Network.Attach(d.ctx, d.Net.Client()))
		for _, m := range d.Net.Machines() {
			require.NoError(t, d.Net.Network.Attach(d.ctx, m.Port()))
		}
		d.unnoticedBy(t, func() { d.configure(t, option(all...)) }, lab.VIP, vip6)
		require.Equal(t, holder, d.holderOf(t, farVIP))
		require.Equal(t, right, places(holder))
		d.unnoticedBy(t, func() {
			d.configure(t, "network_interface="+machine.Interface)
			poll.Until(t, func() bool { return places(holder)[farVIP] == machine.Interface }, 10*time.Second, 50*time.Millisecond)
			d.configure(t, "network_interface=")
			require.Equal(t, holder, d.holderOf(t, farVIP))
		}, lab.VIP, vip6)
		require.Equal(t, right, places(holder))
	})
	d.spaces(t, all)
	d.scenario(t, "an interface that comes after the daemon is waited for, by no hook", func(t *testing.T) {
		late := d.dies(t, all)
		d.unnoticedBy(t, func() {
			d.heal(t, late)
			d.updateStatus(t)
		}, all...)
		require.Contains(t, d.run(t, late, "cat "+fragment), farVIP.String()+"/32 dev "+machine.SecondInterface)
		require.Equal(t, "interface eth1 is down, no VIP can be held here: ip link show eth1", d.workload(t, d.unitOn(t, late)).Message)
		m, err := d.Machine(late)
		require.NoError(t, err)
		d.unnoticedBy(t, func() { require.NoError(t, d.Net.Network.Attach(d.ctx, m.Port())) }, all...)
		for _, id := range d.standbys(t, late) {
			require.NoError(t, d.Kill(d.ctx, id))
		}
		require.Equal(t, late, d.holderOf(t, farVIP))
		require.Equal(t, right, places(late))
	})
}

// spaces binds the endpoint by which the units know each other to other spaces.
func (d *deployment) spaces(t *testing.T, all []netip.Addr) {
	t.Helper()
	const nothing = "; the network space of endpoint cluster has no address on this machine: juju bind keepalived cluster=SPACE, see juju spaces"
	address := func(unit string) string {
		return strings.TrimSpace(d.juju(t, "exec --unit "+unit+" -- network-get cluster --ingress-address"))
	}
	d.scenario(t, "clients notice nothing of an endpoint that is bound to another space, with an address here or without", func(t *testing.T) {
		for _, m := range d.Net.Machines() {
			// Juju learns of interfaces when a machine's agent starts.
			d.run(t, strings.TrimPrefix(m.Name, "juju-"), "systemctl restart jujud-machine-*.service")
		}
		d.settled(t)
		d.juju(t, "add-space back 10.10.76.0/24")
		d.juju(t, "add-space nowhere")
		holder := d.ready(t)
		d.unnoticedBy(t, func() {
			d.juju(t, "bind keepalived cluster=back")
			d.settled(t)
			for _, unit := range d.units() {
				require.Regexp(t, `^10\.10\.76\.`, address(unit), unit)
			}
			d.allSay(t, "active", "VIP ready")
			d.juju(t, "bind keepalived cluster=nowhere --force")
			d.settled(t)
			d.allSay(t, "active", "VIP ready")
			for _, unit := range d.units() {
				require.Contains(t, d.workload(t, unit).Message, nothing, unit)
			}
			d.juju(t, "bind keepalived cluster=alpha")
			d.settled(t)
		}, all...)
		require.Equal(t, holder, d.ready(t))
		for _, unit := range d.units() {
			require.NotContains(t, d.workload(t, unit).Message, nothing)
		}
	})
}
