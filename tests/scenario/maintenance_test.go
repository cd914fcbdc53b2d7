package scenario_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// act runs an action that must end well and returns its results.
func (d *deployment) act(t *testing.T, unit, action string, parameters map[string]any) map[string]any {
	t.Helper()
	result, err := d.Model.RunAction(d.ctx, unit, action, parameters)
	require.NoError(t, err)
	require.Equal(t, "completed", result.Status, "%s of %s: %s", action, unit, result.Message)
	return result.Results
}

func TestMaintenance(t *testing.T) {
	d := deploy(t, serving())
	holder := d.ready(t)
	require.NoError(t, d.Model.TriggerUpdateStatus()) // the units tell each other that they are healthy
	time.Sleep(100 * time.Millisecond)
	d.settled(t)
	unitOn := func(id string) string {
		unit, ok := d.UnitOn("keepalived", id)
		require.True(t, ok)
		return unit
	}

	d.scenario(t, "failover moves the VIP once and tells the gap", func(t *testing.T) {
		m, err := d.Measure(d.ctx, lab.VIP, time.Second, func(context.Context) error {
			results := d.act(t, unitOn(holder), "failover", nil)
			require.Equal(t, unitOn(holder), results["from"])
			t.Log(results)
			return nil
		})
		require.NoError(t, err)
		t.Log(m)
		require.Len(t, m.Moves, 1)
		require.Less(t, m.Outage, handedOver)
		require.LessOrEqual(t, m.Shared, sharedAtMost)
		result, err := d.Model.RunAction(d.ctx, unitOn(holder), "failover", nil)
		require.NoError(t, err)
		require.Equal(t, "failed", result.Status)
		require.Contains(t, result.Message, "this unit holds nothing")
		holder = d.waitHolder(t)
	})

	d.scenario(t, "a paused holder hands over and takes nothing, through a reboot, until resume", func(t *testing.T) {
		paused := holder
		unit := unitOn(paused)
		m, err := d.Measure(d.ctx, lab.VIP, time.Second, func(context.Context) error {
			t.Log(d.act(t, unit, "pause", nil))
			return nil
		})
		require.NoError(t, err)
		t.Log(m)
		require.Less(t, m.Outage, handedOver)
		holder = d.waitHolder(t)
		require.NotEqual(t, paused, holder)
		machine, err := d.Machine(paused)
		require.NoError(t, err)
		require.NoError(t, machine.Reboot(d.ctx))
		d.settled(t)
		require.Equal(t, holder, d.waitHolder(t))
		status, _ := d.Model.Status().Unit(unit)
		require.Equal(t, "paused, takes no VIP: juju run "+unit+" resume", status.Workload.Message)
		d.act(t, unit, "resume", nil)
		d.settled(t)
		require.Equal(t, holder, d.waitHolder(t), "it comes back as a standby")
		status, _ = d.Model.Status().Unit(unit)
		require.Contains(t, status.Workload.Message, "VIP ready: standby for")
	})

	d.scenario(t, "the last healthy unit is not paused without force", func(t *testing.T) {
		for _, id := range []string{"0", "1", "2"} {
			if id != holder {
				_, err := d.Exec(d.ctx, id, "systemctl stop haproxy")
				require.NoError(t, err)
			}
		}
		require.Eventually(t, func() bool {
			require.NoError(t, d.Model.TriggerUpdateStatus())
			d.settled(t)
			result, err := d.Model.RunAction(d.ctx, unitOn(holder), "pause", nil)
			require.NoError(t, err)
			if result.Status == "completed" {
				d.act(t, unitOn(holder), "resume", nil)
			}
			return result.Status == "failed"
		}, 20*time.Second, time.Second)
	})

	d.scenario(t, "a restart of the holder's keepalived costs one quick move", func(t *testing.T) {
		for _, id := range []string{"0", "1", "2"} {
			_, err := d.Exec(d.ctx, id, "systemctl start haproxy")
			require.NoError(t, err)
		}
		holder = d.ready(t)
		m, err := d.Measure(d.ctx, lab.VIP, time.Second, func(context.Context) error {
			t.Log(d.act(t, unitOn(holder), "restart", nil))
			return nil
		})
		require.NoError(t, err)
		t.Log(m)
		require.Less(t, m.Outage, handedOver)
		require.Len(t, m.Moves, 1)
	})
}
