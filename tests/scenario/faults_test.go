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

func TestFaults(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.serviceFaults(t)
	d.processFaults(t)
	d.machineFaults(t)
}

// repaired brings every machine and its service back and waits for the checks. A
// scenario begins with it, so that one that fails does not spoil the next.
func (d *deployment) repaired(t *testing.T) string {
	t.Helper()
	for _, unit := range d.units() {
		id := d.machineOf(t, unit)
		if m, err := d.Machine(id); err == nil && !m.Running() {
			d.heal(t, id)
		}
		d.run(t, id, "systemctl kill --signal=CONT haproxy.service || true; systemctl start haproxy.service; "+
			"systemctl thaw "+checkerService+" 2>/dev/null || true; systemctl kill --signal=CONT "+checkerService+" || true")
	}
	return d.ready(t)
}

func (d *deployment) serviceFaults(t *testing.T) {
	for _, row := range []struct {
		claim, fault string
		bound        time.Duration
	}{
		{"when the holder's service is stopped the virtual IP moves", "systemctl stop haproxy.service", serviceDies},
		{"when the holder's service hangs the virtual IP moves", "systemctl kill --signal=STOP haproxy.service", serviceHangs},
	} {
		d.scenario(t, row.claim, func(t *testing.T) {
			sick := d.repaired(t)
			moved(t, d.measure(t, 3*time.Second, func() { d.run(t, sick, row.fault) }), row.bound)
			holder := d.waitHolder(t)
			require.NotEqual(t, sick, holder)
			d.updateStatus(t)
			require.Contains(t, d.workload(t, d.unitOn(t, sick)).Message, "check fails ")
			require.Equal(t, "VIP ready: holds "+lab.VIP.String(), d.workload(t, d.unitOn(t, holder)).Message)
			unnoticed(t, d.measure(t, 2*time.Second, func() { require.Equal(t, holder, d.repaired(t)) }))
			d.updateStatus(t)
			d.truthful(t, holder)
		})
	}
	d.scenario(t, "when every service is sick one machine keeps the virtual IP, and the first healthy one gets it", func(t *testing.T) {
		holder := d.repaired(t)
		standbys := d.standbys(t, holder)
		for _, id := range append(standbys, holder) {
			d.run(t, id, "systemctl stop haproxy.service")
		}
		for _, unit := range d.units() {
			poll.Until(t, func() bool { return d.verdict(t, unit) == "sick" }, 10*time.Second, 50*time.Millisecond)
		}
		time.Sleep(time.Second) // for what the verdicts cause
		from := time.Now()
		time.Sleep(2 * time.Second)
		calm := d.Holders.Between(lab.VIP, from, time.Now())
		require.Zero(t, calm.None, "somebody holds it all the time")
		require.Zero(t, calm.Shared, "never two")
		require.Empty(t, calm.Moves, "it stays there")
		require.Len(t, d.holders(lab.VIP), 1)
		d.updateStatus(t)
		for _, unit := range d.units() {
			require.Contains(t, d.workload(t, unit).Message, "check fails ")
		}
		keeper, err := d.Holder(lab.VIP)
		require.NoError(t, err)
		healed := d.standbys(t, keeper)[0]
		d.run(t, healed, "systemctl start haproxy.service")
		poll.Until(t, func() bool {
			id, err := d.Holder(lab.VIP)
			return err == nil && id == healed
		}, 10*time.Second, 20*time.Millisecond)
		require.Equal(t, healed, d.repaired(t))
	})
}

func (d *deployment) processFaults(t *testing.T) {
	for claim, standby := range map[string]bool{
		"when the holder's keepalived is killed one unit holds the virtual IP again": false,
		"when a standby's keepalived is killed nobody notices":                       true,
	} {
		d.scenario(t, claim, func(t *testing.T) {
			id := d.repaired(t)
			if standby {
				id = d.standbys(t, id)[0]
			}
			m := d.measure(t, 3*time.Second, func() { d.run(t, id, "systemctl kill --signal=KILL keepalived.service") })
			if standby {
				unnoticed(t, m)
			} else {
				// The dead one's address stays until its keepalived has been started again.
				require.Less(t, m.Outage, patience.With(machineDies))
				require.LessOrEqual(t, m.Shared, patience.With(1500*time.Millisecond))
			}
			holder := d.repaired(t)
			d.updateStatus(t)
			d.truthful(t, holder)
		})
	}
	d.scenario(t, "when the health checkers are killed nobody notices", func(t *testing.T) {
		holder := d.repaired(t)
		unnoticed(t, d.measure(t, 2*time.Second, func() {
			for _, unit := range d.units() {
				d.run(t, d.machineOf(t, unit), "systemctl kill --signal=KILL keepalived-checker-keepalived.service")
			}
		}))
		require.Equal(t, holder, d.ready(t))
	})
	d.scenario(t, "a keepalived that nothing prepared follows the health check all the same", func(t *testing.T) {
		unprepared := d.standbys(t, d.repaired(t))[0]
		d.run(t, unprepared, startUnprepared)
		d.run(t, unprepared, "systemctl stop haproxy.service")
		poll.Until(t, func() bool { return d.verdict(t, d.unitOn(t, unprepared)) == "sick" }, 10*time.Second, 50*time.Millisecond)
		follows := func(healthy bool) func() bool {
			return func() bool {
				said := strings.Fields(d.run(t, unprepared, priorities))
				return len(said) == 3 && said[0] == said[1] && (said[2] != "0") == healthy
			}
		}
		poll.Until(t, follows(false), 10*time.Second, 100*time.Millisecond)
		// Without the file it would count as sick, too.
		d.run(t, unprepared, "systemctl start haproxy.service")
		poll.Until(t, follows(true), 10*time.Second, 100*time.Millisecond)
		d.repaired(t)
	})
	d.scenario(t, "when the agents restart nothing changes", func(t *testing.T) {
		holder := d.repaired(t)
		d.updateStatus(t) // what a hook said while the service was stopped is over
		before, bags := d.pictures(t), d.databags()
		unnoticed(t, d.measure(t, time.Second, func() {
			for _, unit := range d.units() {
				since := time.Now()
				d.run(t, d.machineOf(t, unit), "systemctl restart 'jujud-*'")
				err := d.WaitEvent(d.ctx, since, func(e lab.Event) bool {
					return e.Unit == unit && e.Kind == lab.AgentConnected
				})
				require.NoError(t, err)
			}
			d.settled(t)
		}))
		for id, was := range before {
			require.Equal(t, was, d.picture(t, id))
		}
		require.Equal(t, bags, d.databags())
		d.truthful(t, holder)
	})
}

// startUnprepared starts keepalived where nothing in /run is left and the charm's program
// cannot run, and the program's health checker after that.
const startUnprepared = `
program=/var/lib/keepalived-charm/keepalived/keepalived-charm
checker=keepalived-checker-keepalived.service
systemctl stop keepalived.service $checker
rm -r /run/keepalived-charm
mount --bind /bin/false $program
systemctl start keepalived.service
umount --lazy $program # something may just be running it
systemctl start $checker
`

// priorities prints the priority that keepalived has, the one it should have, and what
// the health checker makes of its base priority.
const priorities = `
pid=$(systemctl show --property=MainPID --value keepalived.service)
` + reportPath + `rm -f $report
kill -s $(keepalived --signum=JSON) $pid
for i in $(seq 50); do sleep 0.02; grep -qs '"stats"' $report && break; done
of() { grep -o "\"$1\": *[0-9]*" $report | grep -o '[0-9]*$'; }
track=$(($(cat /run/keepalived-charm/keepalived/priority)))
echo $(of effective_priority) $(($(of base_priority) + track)) $track
`

func (d *deployment) machineFaults(t *testing.T) {
	d.scenario(t, "while the controller is away the virtual IP moves all the same, and hooks go on after it", func(t *testing.T) {
		dead := d.repaired(t)
		require.NoError(t, d.SetAway(true))
		t.Cleanup(func() { require.NoError(t, d.SetAway(false)) })
		moved(t, d.measure(t, 2*time.Second, func() { require.NoError(t, d.Kill(d.ctx, dead)) }), machineDies)
		holder := d.waitHolder(t)
		require.NotEqual(t, dead, holder)
		since := time.Now()
		require.NoError(t, d.Heal(d.ctx, dead))
		time.Sleep(2 * time.Second) // its agent finds nobody
		require.NoError(t, d.SetAway(false))
		d.started(t, d.unitOn(t, dead), since)
		require.Equal(t, holder, d.ready(t))
		d.updateStatus(t)
		d.truthful(t, holder)
	})
	d.scenario(t, "a rebooted holder hands the virtual IP over and rejoins as a standby", func(t *testing.T) {
		holder := d.repaired(t)
		unit := d.unitOn(t, holder)
		since := time.Now()
		m := d.measure(t, 2*time.Second, func() {
			machine, err := d.Machine(holder)
			require.NoError(t, err)
			require.NoError(t, machine.Reboot(d.ctx))
			d.started(t, unit, since)
		})
		moved(t, m, machineDies)
		require.NotEqual(t, holder, d.ready(t))
		d.updateStatus(t)
		d.truthful(t, d.waitHolder(t))
	})
	d.scenario(t, "when all machines lose power at once one of them serves after they are back", func(t *testing.T) {
		d.repaired(t)
		ids := []string{}
		for _, unit := range d.units() {
			ids = append(ids, d.machineOf(t, unit))
		}
		for _, id := range ids {
			require.NoError(t, d.Kill(d.ctx, id))
		}
		require.Empty(t, d.holders(lab.VIP))
		from := time.Now()
		for _, id := range ids {
			d.heal(t, id)
		}
		holder := d.repaired(t)
		require.LessOrEqual(t, d.Holders.Between(lab.VIP, from, time.Now()).Shared, patience.With(sharedAtMost))
		d.updateStatus(t)
		d.truthful(t, holder)
	})
}
