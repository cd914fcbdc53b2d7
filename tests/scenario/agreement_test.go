package scenario_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// TestAgreement changes what all units must agree on while clients watch: hooks
// run at different times, up to LAB_APART (1s unless it is set) from one unit to
// the next, one agent is away, a machine is dead.
func TestAgreement(t *testing.T) {
	t.Parallel()
	apart := duration(t, "LAB_APART", time.Second)
	d := deploy(t, serving())
	ctx, cancel := context.WithTimeout(context.Background(), deploymentLife+50*apart)
	defer cancel()
	d.ctx = ctx
	d.everyParameter(t, apart)
	d.absentAgent(t)
	d.deadMachine(t)
	d.holderLostHalfWay(t)
}

// hold stops a unit's agent where it is, or lets it go on. Its machine, and a hook
// that runs, go on.
func (d *deployment) hold(t *testing.T, id string, on bool) {
	t.Helper()
	signal := map[bool]string{true: "STOP", false: "CONT"}[on]
	d.run(t, id, "systemctl kill --kill-whom=main --signal="+signal+" 'jujud-*'")
}

// held stops the agents of machines until the test goes on, or ends.
func (d *deployment) held(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		d.hold(t, id, true)
		t.Cleanup(func() {
			if m, err := d.Machine(id); err == nil && m.Running() {
				d.hold(t, id, false)
			}
		})
	}
}

// staggered changes options; the agents of machines see it in random order, up to
// apart from one to the next.
func (d *deployment) staggered(t *testing.T, ids []string, apart time.Duration, options map[string]string) {
	t.Helper()
	order := slices.Clone(ids)
	rand.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
	t.Logf("%v: agents go on in the order %v", options, order)
	d.held(t, order...)
	require.NoError(t, d.SetConfig("keepalived", options))
	for _, id := range order {
		d.hold(t, id, false)
		time.Sleep(rand.N(apart))
	}
}

// parameters are what a machine's keepalived has been told.
func (d *deployment) parameters(t *testing.T, id string) string {
	t.Helper()
	return strings.TrimSpace(d.run(t, id, "grep '^# parameters' "+fragment))
}

// agreed requires that the units on these machines run the same and that the
// change-over has left nothing behind.
func (d *deployment) agreed(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.Equal(t, d.parameters(t, ids[0]), d.parameters(t, id))
		require.NotContains(t, d.workload(t, d.unitOn(t, id)).Message, "moving to")
		require.NotContains(t, d.run(t, id, "cat /var/lib/keepalived-charm/keepalived/checker.json"), `"aside"`)
		require.Empty(t, d.run(t, id, "ls /var/lib/keepalived-charm/keepalived/owed /run/keepalived-charm/keepalived/booted 2>/dev/null | grep -v ^/ || true"))
		require.NotContains(t, d.run(t, id, "ip -oneline address show dev lo"), lab.VIP.String(), "nothing is pinned")
	}
}

// everyParameter changes each parameter while the agents go on at different times.
func (d *deployment) everyParameter(t *testing.T, apart time.Duration) {
	for _, row := range []struct{ claim, option, value string }{
		{"virtual router ID", "router_id", "24"},
		{"unicast", "vrrp_mode", "unicast"},
		{"multicast", "vrrp_mode", "multicast"},
		{"longer interval", "advert_interval", "1"},
		{"version 2", "vrrp_version", "2"},
		{"version 3", "vrrp_version", "3"},
		{"shorter interval", "advert_interval", "0.2"},
		{"more virtual IPs", "virtual_ip", "10.10.74.250 10.10.74.251 10.10.74.252"},
		{"fewer virtual IPs", "virtual_ip", "10.10.74.250 10.10.74.252"},
	} {
		d.scenario(t, "clients do not notice a change while hooks run at different times: "+row.claim, func(t *testing.T) {
			holder := d.waitHolder(t)
			order := append(d.standbys(t, holder), holder)
			unnoticed(t, d.measure(t, time.Second, func() {
				d.staggered(t, order, apart, map[string]string{row.option: row.value})
				d.settled(t)
			}))
			require.Equal(t, holder, d.waitHolder(t))
			d.agreed(t, order...)
		})
	}
}

// says waits until a unit's status says something.
func (d *deployment) says(t *testing.T, unit, part string) {
	t.Helper()
	poll.Until(t, func() bool { return strings.Contains(d.message(unit), part) }, 30*time.Second, 50*time.Millisecond,
		"%s must say %q", unit, part)
}

func (d *deployment) absentAgent(t *testing.T) {
	d.scenario(t, "a change waits for a unit whose agent is away, and is completed when it is back", func(t *testing.T) {
		holder := d.waitHolder(t)
		away := d.standbys(t, holder)[0]
		before := d.parameters(t, holder)
		d.held(t, away)
		unnoticed(t, d.measure(t, time.Second, func() {
			require.NoError(t, d.SetConfig("keepalived", map[string]string{"router_id": "30"}))
			d.says(t, d.unitOn(t, holder), "; moving to virtual router ID 30, 2 of 3 units ready, waiting for "+d.unitOn(t, away))
			time.Sleep(2 * time.Second)
			require.Equal(t, before, d.parameters(t, holder), "it waits")
			d.hold(t, away, false)
			d.settled(t)
		}))
		d.agreed(t, append(d.standbys(t, holder), holder)...)
	})
}

func (d *deployment) deadMachine(t *testing.T) {
	d.scenario(t, "a change does not wait for a dead machine, which follows when it is back", func(t *testing.T) {
		holder := d.waitHolder(t)
		standbys := d.standbys(t, holder)
		dead, alive := standbys[0], standbys[1]
		require.NoError(t, d.Kill(d.ctx, dead))
		unnoticed(t, d.measure(t, time.Second, func() {
			began := time.Now()
			d.configure(t, "router_id=31")
			t.Logf("hooks at rest after %v", time.Since(began))
			began = time.Now()
			d.updateStatus(t)
			t.Logf("and after update-status %v later", time.Since(began))
		}))
		d.agreed(t, holder, alive)
		unnoticed(t, d.measure(t, 2*time.Second, func() { d.heal(t, dead) }))
		d.agreed(t, holder, alive, dead)
	})
}

func (d *deployment) holderLostHalfWay(t *testing.T) {
	d.scenario(t, "a holder that dies amid a change costs a failover, and the others go on with it", func(t *testing.T) {
		holder := d.waitHolder(t)
		standbys := d.standbys(t, holder)
		away, aside := standbys[0], standbys[1]
		d.held(t, away)
		require.NoError(t, d.SetConfig("keepalived", map[string]string{"router_id": "32"}))
		d.says(t, d.unitOn(t, holder), "2 of 3 units ready")
		moved(t, d.measure(t, 4*time.Second, func() { require.NoError(t, d.Kill(d.ctx, holder)) }), machineDies)
		unnoticed(t, d.measure(t, time.Second, func() {
			d.hold(t, away, false)
			d.settled(t)
			d.updateStatus(t)
		}))
		d.agreed(t, away, aside)
		unnoticed(t, d.measure(t, 2*time.Second, func() { d.heal(t, holder) }))
		d.agreed(t, away, aside, holder)
		require.Contains(t, d.parameters(t, holder), "vrid=32")
	})
}
