package scenario_test

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// signalAgent sends a signal to the processes of a unit's agent.
func (d *deployment) signalAgent(t *testing.T, unit, signal string) {
	t.Helper()
	d.run(t, d.machineOf(t, unit), "systemctl kill --signal="+signal+" 'jujud-*'")
}

// addresses lists where the units' advertisements come from.
func (d *deployment) addresses(t *testing.T) map[string]netip.Addr {
	t.Helper()
	list := map[string]netip.Addr{}
	for _, unit := range d.units() {
		m, err := d.MachineOf(unit)
		require.NoError(t, err)
		list[unit] = m.Port().IPv4.Addr()
	}
	return list
}

// allListed requires that each unit sends its advertisements to all others and to
// nobody else.
func (d *deployment) allListed(t *testing.T) {
	t.Helper()
	for _, unit := range d.units() {
		text := d.run(t, d.machineOf(t, unit), "sed -n '/unicast_peer/,/}/p' "+fragment)
		require.Equal(t, len(d.units())-1, strings.Count(text, "\n")-2, "%s lists: %s", unit, text)
		for other, address := range d.addresses(t) {
			if other != unit {
				require.Contains(t, text, address.String()+"\n", "%s sends to %s", unit, other)
			}
		}
	}
}

// advertisements returns where the VRRP packets go that arrive in a network
// namespace within a second.
func advertisements(t *testing.T, path string) []netip.Addr {
	t.Helper()
	var found []netip.Addr
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends here
		var err error
		found, err = listen(path)
		failed <- err
	}()
	require.NoError(t, <-failed)
	return found
}

// listen moves its thread into a network namespace.
func listen(path string) ([]netip.Addr, error) {
	const vrrp, ipv4 = 112, 0x0800
	namespace, err := netns.GetFromPath(path)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	if err := netns.Set(namespace); err != nil {
		return nil, err
	}
	network := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, ipv4))
	socket, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, int(network))
	if err != nil {
		return nil, err
	}
	defer syscall.Close(socket)
	err = syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100_000})
	var found []netip.Addr
	packet := make([]byte, 2048)
	for end := time.Now().Add(time.Second); err == nil && time.Now().Before(end); {
		n, from, silence := syscall.Recvfrom(socket, packet, 0)
		if silence != nil || n < 20 || packet[9] != vrrp {
			continue
		}
		if link, ok := from.(*syscall.SockaddrLinklayer); !ok || link.Pkttype == syscall.PACKET_OUTGOING {
			continue
		}
		if a := netip.AddrFrom4([4]byte(packet[16:20])); !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	return found, err
}

func TestUnicast(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.scenario(t, "once unicast is asked for units find each other, nothing goes to the multicast group any more, and nobody notices", func(t *testing.T) {
		holder := d.ready(t)
		require.Equal(t, []netip.Addr{netip.MustParseAddr("224.0.0.18")}, advertisements(t, d.Net.Client().NetNS))
		unnoticed(t, d.measure(t, time.Second, func() { d.configure(t, "vrrp_mode=unicast") }))
		require.Equal(t, holder, d.ready(t))
		d.allListed(t)
		// The switch floods multicast, so the client would see it.
		require.Empty(t, advertisements(t, d.Net.Client().NetNS))
		standby, err := d.Machine(d.standbys(t, holder)[0])
		require.NoError(t, err)
		require.Equal(t, []netip.Addr{standby.Port().IPv4.Addr()}, advertisements(t, standby.Port().NetNS))
	})
	d.scenario(t, "when the holder's machine dies another takes over, and its return is not noticed", func(t *testing.T) {
		dead := d.ready(t)
		moved(t, d.measure(t, 2*time.Second, func() { require.NoError(t, d.Kill(d.ctx, dead)) }), machineDies)
		unnoticed(t, d.measure(t, 2*time.Second, func() { d.heal(t, dead) }))
	})
	d.sixAlone(t)
	d.newcomer(t)
	d.lateLeaver(t)
	d.scenario(t, "a removed holder hands the virtual IP over before it goes", func(t *testing.T) {
		holder := d.ready(t)
		moved(t, d.measure(t, time.Second, func() { d.removeUnit(t, holder) }), handedOver)
		d.updateStatus(t)
		d.truthful(t, d.ready(t))
		d.allListed(t)
	})
}

// lateLeaver removes a standby on whose machine another charm's hook runs meanwhile: Juju tells
// the others first, and it hears them for as long as it takes part.
func (d *deployment) lateLeaver(t *testing.T) {
	d.scenario(t, "a removed standby that learns of it late is not noticed, and the others no longer send to it", func(t *testing.T) {
		const departed = "cluster-relation-departed"
		leaver := d.standbys(t, d.ready(t))[0]
		unit := d.unitOn(t, leaver)
		principal, ok := d.UnitOn("haproxy", leaver)
		require.True(t, ok)
		before := map[string]int{}
		count := func(id string) int {
			return len(slices.DeleteFunc(d.hooksOf(t, id, d.unitOn(t, id)), func(hook string) bool { return hook != departed }))
		}
		for _, other := range d.units() {
			if other != unit {
				id := d.machineOf(t, other)
				before[id] = count(id)
			}
		}
		unnoticed(t, d.measure(t, time.Second, func() {
			d.run(t, leaver, "systemd-run --quiet --unit=busy flock /tmp/juju-machine-lock sh -c 'touch /run/busy; exec sleep infinity'; "+
				"for n in $(seq 300); do test -e /run/busy && exit 0; sleep 0.1; done; exit 1")
			require.NoError(t, d.DestroyUnit(principal))
			for id, hooks := range before {
				poll.Until(t, func() bool { return count(id) > hooks }, time.Minute, 200*time.Millisecond, "the unit on machine %s is told", id)
			}
			require.NotContains(t, d.hooksOf(t, leaver, unit), departed, "it is not told")
			time.Sleep(3 * time.Second) // it would take over in one
			d.run(t, leaver, "systemctl stop busy")
			require.NoError(t, d.WaitUnits(d.ctx, unit+" to go", func(units map[string]lab.Unit) bool {
				_, there := units[unit]
				return !there
			}))
			d.settled(t)
		}))
		d.updateStatus(t)
		d.allListed(t)
	})
}

// sixAlone leaves IPv6 virtual IPs only, and so IPv6 advertisements.
func (d *deployment) sixAlone(t *testing.T) {
	d.scenario(t, "IPv6 alone: one holds, and another takes over", func(t *testing.T) {
		six := func() string {
			holder, err := d.WaitHolder(d.ctx, vip6)
			require.NoError(t, err)
			return holder
		}
		holder := d.ready(t)
		d.unnoticedBy(t, func() { d.configure(t, option(lab.VIP, vip6)) }, lab.VIP)
		d.unnoticedBy(t, func() { d.configure(t, option(vip6)) }, vip6)
		require.Equal(t, holder, six())
		moved(t, d.probed(t, 2*time.Second, func() { require.NoError(t, d.Kill(d.ctx, holder)) }, vip6)[0], machineDies)
		d.unnoticedBy(t, func() { d.heal(t, holder) }, vip6)
		require.NotEqual(t, holder, six())
		d.unnoticedBy(t, func() { d.configure(t, option(lab.VIP, vip6)) }, vip6)
		d.unnoticedBy(t, func() { d.configure(t, option(lab.VIP)) }, lab.VIP)
	})
}

// newcomer adds a unit whose peers learn of it late: it hears nobody meanwhile.
func (d *deployment) newcomer(t *testing.T) {
	d.scenario(t, "an added unit that nobody sends to yet claims nothing, and is not noticed", func(t *testing.T) {
		holder := d.ready(t)
		peers := d.units()
		unnoticed(t, d.measure(t, 2*time.Second, func() {
			for _, unit := range peers {
				d.signalAgent(t, unit, "STOP")
			}
			require.NoError(t, d.AddUnits(d.ctx, "haproxy", 1))
			var added string
			require.NoError(t, d.WaitUnits(d.ctx, "the new unit to be at rest", func(units map[string]lab.Unit) bool {
				for name, u := range units {
					if strings.HasPrefix(name, "keepalived/") && strings.HasPrefix(u.Workload.Message, "takes no part yet, waits for ") && u.Agent.Current == "idle" && !slices.Contains(peers, name) {
						added = name
					}
				}
				return added != ""
			}))
			time.Sleep(2 * time.Second) // longer than it would wait for advertisements
			t.Log(d.workload(t, added).Message)
			m, err := d.MachineOf(added)
			require.NoError(t, err)
			require.NotContains(t, d.holders(lab.VIP), m.Name)
			for _, unit := range peers {
				d.signalAgent(t, unit, "CONT")
			}
			d.settled(t)
		}))
		d.allListed(t)
		require.Equal(t, holder, d.ready(t))
		d.updateStatus(t)
		d.truthful(t, holder)
	})
}
