package scenario_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// TestHookErrors is about units whose hooks fail, as what a hook did is refused by the
// controller, and about what operators type then.
func TestHookErrors(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.ready(t)
	d.juju(t, "model-config automatically-retry-hooks=false update-status-hook-interval=1m")
	d.consume(t, "kubernetes-worker", website, worker)

	d.scenario(t, "a unit in error serves on, and the virtual IP moves away from it all the same", func(t *testing.T) {
		holder := d.ready(t)
		unit := d.unitOn(t, holder)
		unnoticed(t, d.measure(t, time.Second, func() { d.failsIn(t, unit, "one.example.com") }))
		moved(t, d.measure(t, time.Second, func() { d.run(t, holder, "systemctl stop haproxy.service") }), serviceDies)
		require.NotEqual(t, holder, d.waitHolder(t))
		d.run(t, holder, "systemctl start haproxy.service")
		d.inError(t, unit)
	})
	d.scenario(t, "juju resolved has the hook run again, and then all is as it should be", func(t *testing.T) {
		unit := d.unitInError(t)
		holder := d.waitHolder(t)
		since := time.Now()
		unnoticed(t, d.measure(t, time.Second, func() {
			d.juju(t, "resolved "+unit)
			d.settled(t)
		}))
		require.Contains(t, d.Hooks(unit, since), "config-changed")
		d.tells(t, "kubernetes-worker/0", "kube-api-endpoint", map[string]string{"hostname": "one.example.com"})
		require.Equal(t, holder, d.ready(t))
		d.truthful(t, holder)
	})
	d.scenario(t, "juju resolved --no-retry leaves the hook out, and the next one makes it good", func(t *testing.T) {
		holder := d.ready(t)
		unit := d.unitOn(t, holder)
		d.failsIn(t, unit, "two.example.com")
		since := time.Now()
		unnoticed(t, d.measure(t, time.Second, func() {
			d.juju(t, "resolved --no-retry "+unit)
			d.settled(t)
			require.NotContains(t, d.Hooks(unit, since), "config-changed")
			d.updateStatus(t)
		}))
		d.tells(t, "kubernetes-worker/0", "kube-api-endpoint", map[string]string{"hostname": "two.example.com"})
		require.Equal(t, holder, d.ready(t))
		d.truthful(t, holder)
	})
	for _, row := range []struct{ forced, claim string }{
		{"", "a unit in error follows a refresh once it is resolved"},
		// Juju then runs the hook that failed, and no upgrade-charm.
		{" --force-units", "with --force-units a unit in error has the new charm at once, and runs it once it is resolved"},
	} {
		d.scenario(t, row.claim, func(t *testing.T) {
			holder := d.ready(t)
			unit := d.unitOn(t, holder)
			d.failsIn(t, unit, fmt.Sprintf("refresh%d.example.com", len(row.forced)))
			before := d.charmOf(t, unit)
			since := time.Now()
			upgraded := func(unit string) bool { return slices.Contains(d.Hooks(unit, since), "upgrade-charm") }
			unnoticed(t, d.measure(t, time.Second, func() {
				d.juju(t, "refresh keepalived --path ./keepalived.charm"+row.forced)
				d.settled(t)
				for _, other := range d.standbys(t, holder) {
					require.True(t, upgraded(d.unitOn(t, other)), "machine %s", other)
				}
				require.False(t, upgraded(unit), "hooks of a unit in error wait")
				if row.forced != "" {
					poll.Until(t, func() bool { return d.charmOf(t, unit) != before }, time.Minute, time.Second, "%s has the new charm", unit)
				}
				d.juju(t, "resolved "+unit)
				d.settled(t)
				require.Equal(t, row.forced == "", upgraded(unit))
				require.NotEqual(t, before, d.charmOf(t, unit))
				require.Contains(t, d.Hooks(unit, since), "config-changed")
			}))
			d.updateStatus(t)
			require.Equal(t, holder, d.ready(t))
			d.truthful(t, holder)
		})
	}
	d.scenario(t, "a machine that is removed by force is waited for by nobody", func(t *testing.T) {
		dead := d.ready(t)
		gone := d.unitOn(t, dead)
		moved(t, d.measure(t, time.Second, func() { require.NoError(t, d.Kill(d.ctx, dead)) }), machineDies)
		d.juju(t, "remove-machine "+dead+" --force --no-wait --no-prompt")
		poll.Until(t, func() bool { return !slices.Contains(d.units(), gone) }, 2*time.Minute, time.Second, "%s goes", gone)
		holder := d.ready(t)
		unnoticed(t, d.measure(t, time.Second, func() {
			d.configure(t, "router_id=51")
			d.settled(t)
		}))
		d.updateStatus(t)
		require.Len(t, d.units(), 2)
		for _, unit := range d.units() {
			require.Contains(t, d.parameters(t, d.machineOf(t, unit)), " vrid=51 ")
		}
		d.truthful(t, holder)
	})
	d.scenario(t, "each unit runs update-status as often as the model says", func(t *testing.T) {
		began := time.Now()
		for _, unit := range d.units() {
			poll.Until(t, func() bool { return slices.Contains(d.Hooks(unit, began), "update-status") }, 90*time.Second, time.Second, "%s", unit)
		}
	})
}

// charmOf names the charm that a unit has on its machine, with its revision.
func (d *deployment) charmOf(t *testing.T, unit string) string {
	t.Helper()
	return d.run(t, d.machineOf(t, unit), "cat /var/lib/juju/agents/unit-"+strings.ReplaceAll(unit, "/", "-")+"/charm/.juju-charm")
}

// failsIn has what clients are told change, and one unit fail in the hook.
func (d *deployment) failsIn(t *testing.T, unit, hostname string) {
	t.Helper()
	require.NoError(t, d.Refuse(d.ctx, unit, "Uniter.CommitHookChanges"))
	d.juju(t, "config keepalived vip_hostname="+hostname)
	d.inError(t, unit)
	d.settled(t)
}

// inError waits until Juju says that a hook of a unit failed.
func (d *deployment) inError(t *testing.T, unit string) {
	t.Helper()
	var u lab.Unit
	poll.Until(t, func() bool {
		u = d.Units()[unit]
		return u.Agent.Current == "error" || u.Workload.Current == "error"
	}, time.Minute, 100*time.Millisecond, "%s is in error", unit)
	t.Logf("%s: %v, %v", unit, u.Workload, u.Agent)
}

// unitInError is the unit that is in error.
func (d *deployment) unitInError(t *testing.T) string {
	t.Helper()
	for _, unit := range d.units() {
		if u := d.Units()[unit]; u.Agent.Current == "error" || u.Workload.Current == "error" {
			return unit
		}
	}
	require.Fail(t, "no unit is in error")
	return ""
}
