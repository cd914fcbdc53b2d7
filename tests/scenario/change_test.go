package scenario_test

import (
	"fmt"
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
	d.longInterval(t)
	d.portFiltered(t)
}

// forgetful has the client forget its neighbours again and again, until the returned
// function is called. Those that it just asks for stay: what waits for them would be
// lost.
func (d *deployment) forgetful(t *testing.T) (end func()) {
	t.Helper()
	cmd := d.Net.ClientCommand(d.ctx, "sh", "-c",
		"while ip -6 neigh flush dev eth0 nud reachable nud stale nud delay nud probe; do sleep 0.03; done")
	require.NoError(t, cmd.Start())
	return func() {
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
}

// clientsAsk changes what makes a new VRRP instance while clients ask for the address
// all the time.
func (d *deployment) clientsAsk(t *testing.T) {
	d.scenario(t, "clients that ask for an IPv6 virtual IP are answered all through a change", func(t *testing.T) {
		holder := d.ready(t)
		d.configure(t, option(lab.VIP, vip6))
		defer d.forgetful(t)()
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
