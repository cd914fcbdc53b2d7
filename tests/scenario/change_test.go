package scenario_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// TestChangeOver changes what all units share where that is harder than usual.
func TestChangeOver(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.clientsAsk(t)
	d.strictARP(t)
	d.longInterval(t)
	d.portFiltered(t)
}

// forgetful has the client forget who has addresses again and again, until the returned
// function is called. It goes on to know that it knew: what is on its way while an entry
// is deleted would be lost, and so would what waits for an answer.
func (d *deployment) forgetful(t *testing.T, vips ...netip.Addr) (end func()) {
	t.Helper()
	cmd := d.Net.ClientCommand(d.ctx, "sh", "-c", `while sleep 0.03; do
	for vip; do
		if [ -n "$(ip neigh show to $vip dev eth0 nud reachable nud stale nud delay)" ]; then
			ip neigh change $vip dev eth0 nud failed || exit
		fi
	done
done`, "sh")
	for _, a := range vips {
		cmd.Args = append(cmd.Args, a.String())
	}
	require.NoError(t, cmd.Start())
	return func() {
		require.NoError(t, cmd.Process.Kill())
		require.ErrorContains(t, cmd.Wait(), "killed", "it went on to the end")
	}
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
		for _, change := range []string{"router_id=31", "vrrp_mode=unicast", "vrrp_mode=multicast", "advert_interval=4", "router_id=32", "advert_interval=0.2"} {
			d.unnoticedBy(t, func() { d.configure(t, change) }, lab.VIP)
		}
		require.Equal(t, holder, d.waitHolder(t))
	})
}

// longInterval has an election take longer than most: four intervals and two seconds.
func (d *deployment) longInterval(t *testing.T) {
	d.scenario(t, "a change is not noticed where an election takes long", func(t *testing.T) {
		holder := d.waitHolder(t)
		d.unnoticedBy(t, func() { d.configure(t, "advert_interval=4") }, lab.VIP)
		d.unnoticedBy(t, func() { d.configure(t, "router_id=27") }, lab.VIP)
		d.unnoticedBy(t, func() { d.configure(t, "advert_interval=0.2") }, lab.VIP)
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
			require.NoError(t, d.Model.SetConfig("keepalived", map[string]string{"router_id": "28"}))
			d.says(t, d.unitOn(t, holder), "2 of 3 units ready")
			time.Sleep(5 * time.Second)
			require.Contains(t, d.run(t, standbys[1], "cat /run/keepalived-charm/keepalived/status.json"), `"aside"`)
			d.hold(t, standbys[0], false)
			d.settled(t)
		}))
		d.agreed(t, append(standbys, holder)...)
	})
}
