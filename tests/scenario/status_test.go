package scenario_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// promptly is how soon a status follows what happened, as promised.
const promptly = 5 * time.Second

// TestStatusFollows is about juju status without update-status, which the lab's
// model runs once an hour.
func TestStatusFollows(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	d.timed = true
	d.firstConfiguration(t)
	p := d.collect(t)
	p.maintenance(t)
	d.moves(t, p)
	d.metrics(t)
	d.strangers(t)
	d.linkFaults(t)
	d.controllerAway(t)
	d.flapping(t)
	p.truth(t)
	p.alerts(t)
	p.dashboard(t)
	p.lastingFaults(t)
	d.withoutNotifications(t)
}

// message is what a unit shows now.
func (d *deployment) message(unit string) string {
	u := d.Units()[unit]
	return u.Workload.Current + ": " + u.Workload.Message
}

// follows waits until every unit in wants shows what its function accepts, and
// tells how long that took since an instant.
func (d *deployment) follows(t *testing.T, since time.Time, wants map[string]func(string) bool) {
	t.Helper()
	var wrong []string
	for {
		wrong = wrong[:0]
		for unit, right := range wants {
			if m := d.message(unit); !right(m) {
				wrong = append(wrong, unit+": "+m)
			}
		}
		took := time.Since(since)
		if len(wrong) == 0 {
			t.Logf("right after %.1f s", took.Seconds())
			return
		}
		require.Less(t, took, patience.With(promptly), "still wrong: %v", wrong)
		time.Sleep(20 * time.Millisecond)
	}
}

// begins accepts a message that begins like this.
func begins(with string) func(string) bool {
	return func(s string) bool { return strings.HasPrefix(s, with) }
}

// roles is what the units' statuses are to be with a holder; down are machines of
// which nothing is expected.
func (d *deployment) roles(t *testing.T, holder string, down ...string) map[string]func(string) bool {
	t.Helper()
	wants := map[string]func(string) bool{}
	for _, unit := range d.units() {
		id := d.machineOf(t, unit)
		switch {
		case id == holder:
			wants[unit] = begins("active: VIP ready: holds " + lab.VIP.String())
		default:
			wants[unit] = begins(fmt.Sprintf("active: VIP ready: standby for %s, holder %s", lab.VIP, d.unitOn(t, holder)))
		}
		for _, m := range down {
			if m == id {
				delete(wants, unit)
			}
		}
	}
	return wants
}

// writes counts the workload statuses that units wrote since an instant.
func (d *deployment) writes(since time.Time) map[string]int {
	counts := map[string]int{}
	for _, e := range d.Events() {
		if e.Kind == lab.StatusSet && !e.Time.Before(since) {
			counts[e.Unit]++
		}
	}
	return counts
}

// calm waits until nothing has happened in the model for longer than a notifier
// pauses, and returns the holder.
func (d *deployment) calm(t *testing.T) string {
	t.Helper()
	const rest = 5 * time.Second
	poll.Until(t, func() bool {
		events := d.Events()
		return len(events) > 0 && time.Since(events[len(events)-1].Time) > rest
	}, time.Minute, 100*time.Millisecond)
	return d.ready(t)
}

// otherHolder waits for another holder.
func (d *deployment) otherHolder(t *testing.T, than string) (string, time.Time) {
	t.Helper()
	holder, since := "", time.Time{}
	poll.Until(t, func() bool {
		id, err := d.Holder(lab.VIP)
		if err != nil || id == than {
			holder = ""
			return false
		}
		if id != holder {
			holder, since = id, time.Now()
		}
		// One that has to give way holds for an advertisement interval at most.
		return time.Since(since) > patience.With(sharedAtMost)
	}, 15*time.Second, 10*time.Millisecond, "the VIP leaves machine %s", than)
	return holder, since
}

// atMostOne requires one write per unit, none for some.
func (d *deployment) atMostOne(t *testing.T, since time.Time) {
	t.Helper()
	counts := d.writes(since)
	t.Logf("status writes: %v", counts)
	for unit, n := range counts {
		if n > 1 {
			for _, e := range d.Events() {
				if e.Unit == unit && !e.Time.Before(since) {
					t.Logf("%.1f s: %s %s %s", e.Time.Sub(since).Seconds(), e.Kind, e.Name, e.Detail)
				}
			}
		}
	}
	for unit, n := range counts {
		require.LessOrEqual(t, n, 1, "%s writes its status once", unit)
	}
}

func (d *deployment) firstConfiguration(t *testing.T) {
	d.scenario(t, "the first configuration is shown as it turns out", func(t *testing.T) {
		for _, unit := range d.units() {
			require.Equal(t, "blocked: Please configure virtual ips: juju config keepalived virtual_ip=ADDRESS", d.message(unit))
		}
		since := time.Now()
		require.NoError(t, d.SetConfig("keepalived", map[string]string{"virtual_ip": lab.VIP.String()}))
		holder := d.ready(t) // until every check has passed, one unit may hold after another
		d.follows(t, time.Now(), d.roles(t, holder))
		t.Logf("%.1f s after juju config; status writes: %v", time.Since(since).Seconds(), d.writes(since))
	})
}

func (d *deployment) moves(t *testing.T, p *prometheus) {
	d.scenario(t, "a holder's dead machine is shown by the others", func(t *testing.T) {
		dead := d.calm(t)
		client, err := d.Probe(d.ctx, lab.VIP)
		require.NoError(t, err)
		time.Sleep(2 * time.Second) // a piece of the time before, for the drawing
		since := time.Now()
		require.NoError(t, d.Kill(d.ctx, dead))
		holder, moved := d.otherHolder(t, dead)
		d.follows(t, moved, d.roles(t, holder, dead))
		time.Sleep(promptly)
		d.atMostOne(t, since)
		since = time.Now()
		d.heal(t, dead)
		d.follows(t, since, d.roles(t, holder))
		p.report, err = client.Stop()
		require.NoError(t, err)
		require.NotEmpty(t, p.report.Gaps)
	})
	d.scenario(t, "a dead service is shown where it is, and its holder everywhere", func(t *testing.T) {
		sick := d.calm(t)
		since := time.Now()
		d.run(t, sick, "systemctl stop haproxy.service")
		holder, moved := d.otherHolder(t, sick)
		wants := d.roles(t, holder)
		wants[d.unitOn(t, sick)] = func(s string) bool { return strings.Contains(s, "standby") && strings.Contains(s, "check fails here") }
		d.follows(t, moved, wants)
		time.Sleep(promptly)
		d.atMostOne(t, since)
		since = time.Now()
		d.run(t, sick, "systemctl start haproxy.service")
		d.follows(t, since.Add(time.Second), d.roles(t, holder)) // a second for the check to pass twice
	})
	for claim, standby := range map[string]bool{"a holder": false, "a standby": true} {
		d.scenario(t, claim+"'s keepalived that is stopped by hand is started again and shown as it is", func(t *testing.T) {
			id := d.calm(t)
			holder := id
			since := time.Now()
			if standby {
				id = d.standbys(t, id)[0]
			}
			d.run(t, id, "systemctl stop keepalived.service")
			if !standby {
				holder, since = d.otherHolder(t, id)
			}
			d.follows(t, since, d.roles(t, holder))
			poll.Until(t, func() bool {
				r, err := d.Exec(d.ctx, id, "systemctl is-active keepalived.service")
				return err == nil && r.Code == 0
			}, promptly, 50*time.Millisecond)
			require.Less(t, time.Since(since), patience.With(promptly))
		})
	}
}

// strangers are addresses that somebody adds or removes by hand.
func (d *deployment) strangers(t *testing.T) {
	d.scenario(t, "a virtual IP added by hand to a standby is taken away again", func(t *testing.T) {
		holder := d.calm(t)
		other := d.standbys(t, holder)[0]
		since := time.Now()
		d.run(t, other, "ip address add "+lab.VIP.String()+"/32 dev eth0")
		poll.Until(t, func() bool { return len(d.holders(lab.VIP)) == 1 }, promptly, 10*time.Millisecond)
		t.Logf("gone after %.1f s", time.Since(since).Seconds())
		require.Equal(t, holder, d.waitHolder(t))
		require.Empty(t, d.writes(since))
	})
	d.scenario(t, "a virtual IP removed by hand is held by somebody again", func(t *testing.T) {
		was := d.calm(t)
		d.run(t, was, "ip address delete "+lab.VIP.String()+"/32 dev eth0")
		holder, moved := d.otherHolder(t, "")
		d.follows(t, moved, d.roles(t, holder))
		time.Sleep(time.Second)
		require.Equal(t, holder, d.waitHolder(t))
	})
}

func (d *deployment) linkFaults(t *testing.T) {
	for claim, standby := range map[string]bool{"a holder": false, "a standby": true} {
		d.scenario(t, claim+" whose network is down says so", func(t *testing.T) {
			cut := d.calm(t)
			holder := cut
			if standby {
				cut = d.standbys(t, cut)[0]
			}
			m, err := d.Machine(cut)
			require.NoError(t, err)
			since := time.Now()
			require.NoError(t, m.LinkDown(d.ctx))
			if !standby {
				holder, since = d.otherHolder(t, cut)
			}
			wants := d.roles(t, holder)
			wants[d.unitOn(t, cut)] = begins("waiting: interface eth0 is down")
			d.follows(t, since, wants)
			time.Sleep(promptly) // news within a notifier's pause would wait for its end
			since = time.Now()
			require.NoError(t, m.LinkUp(d.ctx))
			d.follows(t, since, d.roles(t, holder))
		})
	}
}

func (d *deployment) controllerAway(t *testing.T) {
	d.scenario(t, "a move while the controller is away is shown after it, and nothing piles up", func(t *testing.T) {
		from := d.calm(t)
		require.NoError(t, d.SetAway(true))
		t.Cleanup(func() { require.NoError(t, d.SetAway(false)) })
		for range 3 {
			d.run(t, from, "systemctl restart keepalived.service")
			from, _ = d.otherHolder(t, from)
			time.Sleep(time.Second)
		}
		time.Sleep(promptly)
		notifiers := 0
		for _, unit := range d.units() {
			id := d.machineOf(t, unit)
			poll.Until(t, func() bool {
				return strings.TrimSpace(d.run(t, id, "pgrep --count --full '^/usr/bin/juju-exec' || true")) == "0"
			}, 10*time.Second, 50*time.Millisecond, "no run waits")
			// The brackets keep the pattern from finding the shell that has it.
			running := strings.TrimSpace(d.run(t, id, "pgrep --count --full '[k]eepalived-charm notify' || true"))
			require.Contains(t, []string{"0", "1"}, running, "one notifier tries again at most")
			notifiers += len(strings.TrimLeft(running, "0"))
			require.Empty(t, strings.TrimSpace(d.run(t, id, "systemctl list-units --failed --no-legend --plain 'keepalived*'")))
		}
		require.NotZero(t, notifiers)
		since := time.Now()
		require.NoError(t, d.SetAway(false))
		for _, unit := range d.units() {
			err := d.WaitEvent(d.ctx, since, func(e lab.Event) bool {
				return e.Unit == unit && e.Kind == lab.AgentConnected
			})
			require.NoError(t, err)
		}
		since = time.Now()
		require.NoError(t, d.UpdateStatus(d.ctx))
		d.follows(t, since, d.roles(t, from))
	})
}

func (d *deployment) flapping(t *testing.T) {
	d.scenario(t, "ten moves in twenty seconds cost a few writes", func(t *testing.T) {
		holder := d.calm(t)
		since, moved := time.Now(), time.Time{}
		for n := range 10 {
			time.Sleep(time.Until(since.Add(time.Duration(n) * 2 * time.Second)))
			d.run(t, holder, "systemctl restart keepalived.service")
			holder, moved = d.otherHolder(t, holder)
		}
		took := time.Since(since)
		t.Logf("ten moves in %.1f s", took.Seconds())
		d.follows(t, moved, d.roles(t, holder))
		counts, commands := d.writes(since), 0
		for _, e := range d.Events() {
			if e.Kind == lab.Begin && e.Name == "commands" && !e.Time.Before(since) {
				commands++
			}
		}
		t.Logf("status writes: %v, runs: %d", counts, commands)
		for unit, n := range counts {
			// What damps them is time: on a slow machine the moves take longer.
			require.LessOrEqual(t, n, max(10, int(took/(2*time.Second))), "%s writes less than once a move", unit)
		}
	})
}

func (d *deployment) withoutNotifications(t *testing.T) {
	d.scenario(t, "without notifications the status follows at the next hook", func(t *testing.T) {
		d.calm(t)
		d.configure(t, "status_notifications=false")
		holder := d.calm(t)
		for _, unit := range d.units() {
			require.Empty(t, strings.TrimSpace(d.run(t, d.machineOf(t, unit), "systemctl list-unit-files --no-legend 'keepalived-notifier*' || true")))
		}
		since := time.Now()
		d.run(t, holder, "systemctl restart keepalived.service")
		holder, _ = d.otherHolder(t, holder)
		time.Sleep(promptly)
		require.Empty(t, d.writes(since))
		ctx, cancel := context.WithTimeout(d.ctx, patience.With(promptly))
		defer cancel()
		since = time.Now()
		require.NoError(t, d.UpdateStatus(d.ctx))
		require.NoError(t, d.Settled(ctx))
		d.follows(t, since, d.roles(t, holder))
	})
}
