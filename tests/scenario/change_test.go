package scenario_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"keepalived-charm/tests/lab"
)

// TestChangeOver changes what all units share where that is harder than usual.
func TestChangeOver(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.clientsAsk(t)
	d.strictARP(t)
	d.portFiltered(t)
}

// forgetful has the client forget who has addresses again and again, until the returned
// function is called. It goes on to know that it knew: what is on its way while an entry
// is deleted would be lost, and so would what waits for an answer.
func (d *deployment) forgetful(t *testing.T, vips ...netip.Addr) (end func()) {
	t.Helper()
	ns, err := netns.GetFromPath(d.Net.Client().NetNS)
	require.NoError(t, err)
	client, err := netlink.NewHandleAt(ns, syscall.NETLINK_ROUTE)
	require.NoError(t, err)
	ends, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-ends:
				ended <- nil
				return
			case <-time.After(30 * time.Millisecond):
			}
			if err := forget(client, vips); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() {
		close(ends)
		require.NoError(t, <-ended, "it went on to the end")
		client.Close()
		require.NoError(t, ns.Close())
	}
}

// forget has a machine ask again who has addresses.
func forget(client *netlink.Handle, vips []netip.Addr) error {
	entries, err := client.NeighList(0, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return err
	}
	const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY
	for _, e := range entries {
		if a, ok := netip.AddrFromSlice(e.IP); ok && e.State&known != 0 && slices.Contains(vips, a.Unmap()) {
			e.State = netlink.NUD_FAILED
			if err := client.NeighSet(&e); err != nil {
				return err
			}
		}
	}
	return nil
}

// clientsAsk changes what makes a new VRRP instance while clients ask for the address
// all the time.
func (d *deployment) clientsAsk(t *testing.T) {
	d.scenario(t, "clients that ask for an IPv6 virtual IP are answered all through a change", func(t *testing.T) {
		holder := d.ready(t)
		d.configure(t, option(lab.VIP, vip6))
		defer d.forgetful(t, lab.VIP, vip6)()
		for _, change := range []string{"router_id=24", "vrrp_mode=unicast", "vrrp_mode=multicast", "router_id=25"} {
			d.unnoticedBy(t, func() { d.configure(t, change) }, lab.VIP, vip6)
		}
		d.unnoticedBy(t, func() { d.configure(t, option(vip6)) }, vip6)
		// The others look at the IPv6 address, for longer than they bear its silence.
		d.unnoticedBy(t, func() { d.configure(t, "advert_interval=1", "router_id=26") }, vip6)
		d.unnoticedBy(t, func() { d.configure(t, option(lab.VIP, vip6), "advert_interval=0.2") }, vip6)
		d.unnoticedBy(t, func() { d.configure(t, option(lab.VIP)) }, lab.VIP)
		require.Equal(t, holder, d.waitHolder(t))
	})
}

// strictARP has all machines answer ARP requests only for addresses of the interface
// where they arrive, as kube-proxy's strictARP does, from now on.
func (d *deployment) strictARP(t *testing.T) {
	d.scenario(t, "clients that ask for an IPv4 virtual IP are answered all through a change with strictARP", func(t *testing.T) {
		holder := d.ready(t)
		for _, unit := range d.units() {
			m, err := d.Machine(d.machineOf(t, unit))
			require.NoError(t, err)
			out, err := d.Net.CommandAt(d.ctx, m.Port(), "sysctl", "-w", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2").CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		defer d.forgetful(t, lab.VIP)()
		// An election takes longest with the longest interval: four of them and two seconds.
		for _, change := range []string{"router_id=31", "vrrp_mode=unicast", "vrrp_mode=multicast", "advert_interval=4", "router_id=27", "advert_interval=0.2"} {
			d.unnoticedBy(t, func() { d.configure(t, change) }, lab.VIP)
		}
		require.Equal(t, holder, d.waitHolder(t))
		d.agreed(t, append(d.standbys(t, holder), holder)...)
	})
}

// portFiltered has the holder drop what units that stand aside send to its port, as a
// firewall between tiers does: it looks as dead to them as one can that lives.
func (d *deployment) portFiltered(t *testing.T) {
	d.scenario(t, "units that stand aside believe no holder dead that drops what they send to its port", func(t *testing.T) {
		holder := d.waitHolder(t)
		standbys := d.standbys(t, holder)
		m, err := d.Machine(holder)
		require.NoError(t, err)
		rules := "add table inet silent; add chain inet silent in { type filter hook input priority 0; };"
		for _, id := range standbys {
			peer, err := d.Machine(id)
			require.NoError(t, err)
			rules += fmt.Sprintf("add rule inet silent in ip saddr %s tcp dport 443 drop;", peer.Port().IPv4.Addr())
		}
		out, err := d.Net.CommandAt(d.ctx, m.Port(), "nft", rules).CombinedOutput()
		require.NoError(t, err, "%s", out)
		defer func() {
			_ = d.Net.CommandAt(d.ctx, m.Port(), "nft", "delete table inet silent").Run()
		}()
		d.held(t, standbys[0])
		unnoticed(t, d.measure(t, time.Second, func() {
			require.NoError(t, d.SetConfig("keepalived", map[string]string{"router_id": "28"}))
			d.says(t, d.unitOn(t, holder), "2 of 3 units ready")
			time.Sleep(5 * time.Second)
			require.Contains(t, d.run(t, standbys[1], "cat /run/keepalived-charm/keepalived/status.json"), `"aside"`)
			d.hold(t, standbys[0], false)
			d.settled(t)
		}))
		d.agreed(t, append(standbys, holder)...)
	})
}
