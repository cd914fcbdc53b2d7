package scenario_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// act runs an action that must end well and returns its results.
func (d *deployment) act(t *testing.T, unit, action string, parameters map[string]any) map[string]any {
	t.Helper()
	result, err := d.RunAction(d.ctx, unit, action, parameters)
	require.NoError(t, err)
	require.Equal(t, "completed", result.Status, "%s of %s: %s", action, unit, result.Message)
	require.NotEmpty(t, result.Results["summary"])
	require.NotEmpty(t, result.Results["json"])
	return result.Results
}

// refuses runs an action that must fail with a reason, and without results.
func (d *deployment) refuses(t *testing.T, unit, action string, parameters map[string]any, reason string) {
	t.Helper()
	result, err := d.RunAction(d.ctx, unit, action, parameters)
	require.NoError(t, err)
	require.Equal(t, "failed", result.Status, "%v", result.Results)
	require.Contains(t, result.Message, reason)
	require.NotContains(t, result.Results, "summary")
}

// notes waits until a unit's history has a line that contains words.
func (d *deployment) notes(t *testing.T, unit, words string) {
	t.Helper()
	said := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s was to note %q, and notes\n%s", unit, words, said)
		}
	})
	poll.Until(t, func() bool {
		said, _ = d.act(t, unit, "history", map[string]any{"limit": 20})["history"].(string)
		return strings.Contains(said, words)
	}, 10*time.Second, 300*time.Millisecond, "%s notes %q", unit, words)
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.ready(t)
	d.updateStatus(t) // the units tell each other that they are healthy
	d.failover(t)
	d.looks(t)
	d.pauses(t)
	d.lastHealthy(t)
	d.readOnlyDisk(t)
	d.scenario(t, "a restart of the holder's keepalived costs one quick move", func(t *testing.T) {
		holder := d.ready(t)
		m := d.measure(t, time.Second, func() { t.Log(d.act(t, d.unitOn(t, holder), "restart", nil)) })
		moved(t, m, handedOver)
		d.notes(t, d.unitOn(t, holder), "action of an operator")
	})
}

func (d *deployment) failover(t *testing.T) {
	d.scenario(t, "failover moves the VIP once, tells the gap, and every unit notes why", func(t *testing.T) {
		from := d.unitOn(t, d.ready(t))
		var results map[string]any
		moved(t, d.measure(t, time.Second, func() { results = d.act(t, from, "failover", nil) }), handedOver)
		t.Log(results)
		to := d.unitOn(t, d.waitHolder(t))
		require.Equal(t, []any{from, to}, []any{results["from"], results["to"]})
		gap, err := time.ParseDuration(results["gap"].(string))
		require.NoError(t, err)
		require.Less(t, gap, patience.With(handedOver))
		d.refuses(t, from, "failover", nil, "this unit holds nothing")
		d.refuses(t, to, "failover", map[string]any{"to": from}, `additional property "to" is not allowed`)
		d.refuses(t, from, "history", map[string]any{"limit": 0}, "limit : must be")
		require.Equal(t, "1", d.act(t, from, "history", map[string]any{"limit": 1})["shown"])
		for _, unit := range d.units() {
			switch unit {
			case from:
				d.notes(t, unit, "became standby: failover asked for: action of an operator, "+to+" took over")
			case to:
				d.notes(t, unit, "became holder: "+from+" lowered its priority")
			default:
				d.notes(t, unit, "holder changed: "+from+" lowered its priority")
			}
		}
	})
}

// looks is about actions that show something.
func (d *deployment) looks(t *testing.T) {
	d.scenario(t, "status and run-checks show each unit's part", func(t *testing.T) {
		holder := d.unitOn(t, d.ready(t))
		for _, unit := range d.units() {
			r := d.act(t, unit, "status", nil)
			role, present := "standby", "no"
			if unit == holder {
				role, present = "holder", "yes"
			}
			require.Equal(t, []any{lab.VIP.String(), role, holder, present, "passes"},
				[]any{r["vip-1"], r["vip-1-role"], r["vip-1-holder"], r["vip-1-present"], r["vip-1-check"]})
			if unit != holder {
				require.Regexp(t, holder+` \d+\.\d s ago \(priority \d+\)`, r["vip-1-heard"])
			}
			for _, peer := range []string{"peer-1", "peer-2"} {
				require.Contains(t, r[peer], "machine answers: yes; told: takes part, check passes")
			}
			r = d.act(t, unit, "run-checks", nil)
			require.Equal(t, []any{"tcp", "localhost:443", "passes", "0", "passes"}, []any{r["type"], r["target"], r["result"], r["exit"], r["verdict"]})
		}
	})
}

func (d *deployment) pauses(t *testing.T) {
	d.scenario(t, "a paused holder hands over and takes nothing, through hooks, an upgrade and a reboot, until resume", func(t *testing.T) {
		paused := d.ready(t)
		unit := d.unitOn(t, paused)
		d.refuses(t, unit, "pause", map[string]any{"force": "maybe"}, "force : must be of type boolean")
		require.Equal(t, paused, d.waitHolder(t))
		moved(t, d.measure(t, time.Second, func() { t.Log(d.act(t, unit, "pause", nil)) }), handedOver)
		holder := d.waitHolder(t)
		stays := func(what string) {
			t.Helper()
			d.settled(t)
			require.Equal(t, holder, d.waitHolder(t), what)
			require.Equal(t, "maintenance: paused, takes no VIP: juju run "+unit+" resume", d.message(unit), what)
		}
		stays("the pause")
		d.configure(t, "port=443", "vip_hostname=api.example.com")
		d.updateStatus(t)
		stays("hooks")
		require.NoError(t, d.Refresh())
		stays("an upgrade")
		machine, err := d.Machine(paused)
		require.NoError(t, err)
		require.NoError(t, machine.Reboot(d.ctx))
		stays("a reboot")
		require.Contains(t, d.act(t, unit, "pause", nil)["summary"], "paused already")
		require.Equal(t, "yes", d.act(t, unit, "status", nil)["paused"])
		d.act(t, unit, "resume", nil)
		d.settled(t)
		require.Equal(t, holder, d.waitHolder(t), "it comes back as a standby")
		require.Contains(t, d.message(unit), "VIP ready: standby for")
		for _, words := range []string{"paused: action of an operator", "became standby: paused: action of an operator", "machine booted", "resumed: action of an operator"} {
			d.notes(t, unit, words)
		}
	})
}

func (d *deployment) lastHealthy(t *testing.T) {
	d.scenario(t, "the last healthy unit is not paused without force", func(t *testing.T) {
		holder := d.ready(t)
		unit := d.unitOn(t, holder)
		for _, id := range d.standbys(t, holder) {
			d.run(t, id, "systemctl stop haproxy")
			sick := d.unitOn(t, id)
			poll.Until(t, func() bool { return strings.Contains(d.message(sick), "check fails") }, 20*time.Second, 50*time.Millisecond)
			r := d.act(t, sick, "run-checks", nil)
			require.Equal(t, []any{"fails", "1", "cannot connect to 127.0.0.1:443: connection refused"}, []any{r["result"], r["exit"], r["reason"]})
			d.notes(t, sick, "check failed: cannot connect to 127.0.0.1:443: connection refused")
		}
		d.settled(t)
		d.refuses(t, unit, "pause", nil, "no other unit can take the virtual IPs over")
		d.refuses(t, unit, "pause", map[string]any{"force": false}, "force=true pauses all the same")
		d.refuses(t, unit, "failover", nil, "no other unit can take the virtual IPs over")
		require.Equal(t, holder, d.waitHolder(t))
		d.act(t, unit, "pause", map[string]any{"force": true})
		d.otherHolder(t, holder)
		d.act(t, unit, "resume", nil)
		for _, id := range d.standbys(t, holder) {
			d.run(t, id, "systemctl start haproxy")
		}
		d.ready(t)
		d.updateStatus(t)
	})
}

func (d *deployment) readOnlyDisk(t *testing.T) {
	d.scenario(t, "a disk that takes no history keeps nobody from checking or moving", func(t *testing.T) {
		holder := d.ready(t)
		const dir = "/var/lib/keepalived-charm"
		d.run(t, holder, "mount --bind "+dir+" "+dir+" && mount -o remount,ro,bind "+dir+" && systemctl restart "+checkerService)
		t.Cleanup(func() { d.run(t, holder, "umount --lazy "+dir+" && systemctl restart "+checkerService) })
		poll.Until(t, func() bool {
			return strings.Contains(d.run(t, holder, "journalctl --output=cat --unit="+checkerService), "moves are not noted")
		}, 10*time.Second, 100*time.Millisecond)
		poll.Until(t, func() bool { return d.verdict(t, d.unitOn(t, holder)) == "healthy" }, 10*time.Second, 50*time.Millisecond)
		moved(t, d.measure(t, time.Second, func() { d.run(t, holder, "systemctl stop haproxy") }), serviceDies)
		d.run(t, holder, "systemctl start haproxy")
		poll.Until(t, func() bool { return d.verdict(t, d.unitOn(t, holder)) == "healthy" }, 10*time.Second, 50*time.Millisecond)
	})
}
