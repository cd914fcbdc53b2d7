package scenario_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// TestChangeOver changes what all units share where that is harder than usual.
func TestChangeOver(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.clientsAsk(t)
	d.longInterval(t)
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
