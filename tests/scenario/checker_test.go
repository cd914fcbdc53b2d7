package scenario_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/poll"
)

const (
	checkerService = "keepalived-checker-keepalived.service"
	trackFile      = "/run/keepalived-charm/keepalived/priority"
	// blind is how long a checker that does not run may hide that the service died:
	// the watchdog's 2 s, 2 s for a frozen one's rescue to be given up, a start, the
	// checks, a pre-emption; with room.
	blind = 10 * time.Second
)

// TestHealthFaults damps what flaps and breaks the health checker.
func TestHealthFaults(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.timed = true
	d.flappingServices(t)
	d.checkerFaults(t)
	d.checkerCost(t)
}

func (d *deployment) flappingServices(t *testing.T) {
	// Preemption comes first: later its favourite would be held back for a minute.
	for _, preempt := range []bool{true, false} {
		d.scenario(t, fmt.Sprintf("a service that dies and returns every 3 s moves the virtual IP once (preempt=%v)", preempt), func(t *testing.T) {
			d.configure(t, fmt.Sprintf("preempt=%v", preempt))
			sick := d.repaired(t)
			if preempt {
				sick = d.machineOf(t, "keepalived/0")
				poll.Until(t, func() bool { id, err := d.Holder(lab.VIP); return err == nil && id == sick }, 90*time.Second, 50*time.Millisecond)
			}
			var timeline []string
			begin := time.Now()
			m := d.measure(t, 3*time.Second, func() {
				for range 4 {
					for _, do := range []string{"stop", "start"} {
						d.run(t, sick, "systemctl "+do+" haproxy")
						timeline = append(timeline, fmt.Sprintf("%4.1f s %s", time.Since(begin).Seconds(), do))
						time.Sleep(3 * time.Second)
					}
				}
			})
			for _, move := range m.Moves {
				timeline = append(timeline, fmt.Sprintf("%4.1f s move from %s to %s", move.At.Sub(begin).Seconds(), move.From, move.To))
			}
			t.Log(strings.Join(timeline, "\n"))
			moved(t, m, serviceDies)
			require.NoError(t, d.ResetConfig("keepalived", "preempt"))
			d.repaired(t)
		})
	}
}

func (d *deployment) checkerFaults(t *testing.T) {
	byCgroup := `>"/sys/fs/cgroup$(systemctl show --value --property=ControlGroup ` + checkerService + `)/cgroup.freeze"`
	for claim, c := range map[string]struct{ fault, thaw string }{
		"killed":           {fault: "systemctl kill --signal=KILL " + checkerService},
		"stopped":          {fault: "systemctl kill --signal=STOP " + checkerService},
		"frozen":           {"systemctl freeze " + checkerService, "systemctl thaw " + checkerService},
		"frozen by cgroup": {"echo 1 " + byCgroup, "echo 0 " + byCgroup},
	} {
		fault := c.fault
		d.scenario(t, "a checker that is "+claim+" neither drops nor pins the virtual IP", func(t *testing.T) {
			holder := d.repaired(t)
			if c.thaw != "" && d.Net.Base() != machine.Bookworm {
				// The watchdog of later systemd (257.8, 258) leaves alone what is frozen.
				unnoticed(t, d.measure(t, 4*time.Second, func() { d.run(t, holder, fault) }))
				d.updateStatus(t)
				require.Contains(t, d.workload(t, d.unitOn(t, holder)).Message, "; the health checker is silent: ")
				d.run(t, holder, c.thaw)
				require.Equal(t, holder, d.ready(t))
				return
			}
			restarts := func() int {
				n, err := strconv.Atoi(strings.TrimSpace(d.run(t, holder, "systemctl show --value --property=NRestarts "+checkerService)))
				require.NoError(t, err)
				return n
			}
			before := restarts()
			begin := time.Now()
			unnoticed(t, d.measure(t, 4*time.Second, func() { d.run(t, holder, fault) }))
			poll.Until(t, func() bool { return restarts() > before }, 15*time.Second, 100*time.Millisecond, "systemd starts another")
			require.Equal(t, holder, d.ready(t))
			t.Logf("healthy again after %v at most", time.Since(begin).Round(100*time.Millisecond))
			m := d.measure(t, blind, func() {
				d.run(t, holder, fault+"\nsystemctl stop haproxy")
			})
			moved(t, m, blind)
		})
	}
	d.scenario(t, "a full /run changes nothing", func(t *testing.T) {
		holder := d.repaired(t)
		full := func(id string) {
			d.run(t, id, `mount -o remount,size=$(($(df --output=used -k /run | tail -1)+64))k /run
				dd if=/dev/zero of=/run/full bs=1k 2>/dev/null || true
				! sh -c 'echo x >/run/more' 2>/dev/null`)
		}
		free := func(id string) { d.run(t, id, "rm -f /run/full /run/more; mount -o remount,size=50% /run") }
		unnoticed(t, d.measure(t, time.Second, func() { full(holder) }))
		t.Cleanup(func() { free(holder) })
		moved(t, d.measure(t, 2*time.Second, func() { d.run(t, holder, "systemctl kill --signal=KILL haproxy; systemctl stop haproxy") }), serviceDies)
		require.Equal(t, "sick", d.verdict(t, d.unitOn(t, holder)))
		d.run(t, holder, "systemctl start haproxy")
		poll.Until(t, func() bool { return d.verdict(t, d.unitOn(t, holder)) == "healthy" }, 10*time.Second, 50*time.Millisecond)
	})
}

// checkerCost bounds what a checker uses, promised are 0.3%.
func (d *deployment) checkerCost(t *testing.T) {
	const (
		span = 20 * time.Second
		// starts is how often a second: half a percent of a processor where one costs 0.6 ms.
		starts = 8
	)
	d.scenario(t, "a checker costs less than a shell that starts a program eight times a second", func(t *testing.T) {
		holder := d.repaired(t)
		used := func() (cpu time.Duration, rss int) {
			text := d.run(t, holder, `pid=$(systemctl show --value --property=MainPID `+checkerService+`)
				awk '{print $1}' /proc/$pid/schedstat /proc/$pid/task/*/schedstat | tail -n +2 | paste -sd+ | sed 's/.*/echo $((&))/' | sh
				awk '/^VmRSS/ {print $2}' /proc/$pid/status`)
			fields := strings.Fields(text)
			require.Len(t, fields, 2)
			ns, err := strconv.ParseInt(fields[0], 10, 64)
			require.NoError(t, err)
			rss, err = strconv.Atoi(fields[1])
			require.NoError(t, err)
			return time.Duration(ns), rss
		}
		before, _ := used()
		time.Sleep(span)
		after, rss := used()
		const many = 200
		text := d.run(t, holder, fmt.Sprintf(`n=0; while [ $n -lt %d ]; do /bin/true; n=$((n+1)); done
			awk '{print $14+$15+$16+$17}' /proc/$$/stat`, many)) // proc_pid_stat(5), in 10 ms
		ticks, err := strconv.Atoi(strings.TrimSpace(text))
		require.NoError(t, err)
		start := time.Duration(ticks) * 10 * time.Millisecond / many
		share := 100 * float64(after-before) / float64(span)
		t.Logf("%v of CPU in %v (%.3f%%), %d KiB resident; the start of a program costs %v", after-before, span, share, rss, start)
		require.Less(t, after-before, time.Duration(starts*span.Seconds())*start)
	})
}

// TestBusyMachines keeps every core busy for LAB_BUSY, 20 s unless it is set.
func TestBusyMachines(t *testing.T) {
	span := duration(t, "LAB_BUSY", 20*time.Second)
	d := deploy(t, serving())
	ctx, cancel := context.WithTimeout(context.Background(), deploymentLife+span)
	defer cancel()
	d.ctx = ctx
	holder := d.ready(t)
	m := d.measure(t, span, func() {
		d.on(t, `for n in 1 2 3 4; do systemd-run --quiet --unit=busy$n sh -c 'while :; do :; done'; done`)
	})
	for _, unit := range d.units() {
		said := d.run(t, d.machineOf(t, unit), "systemctl stop 'busy*'; journalctl --quiet --output=cat --unit="+checkerService)
		require.NotContains(t, said, "is sick", "no check fails for want of a processor")
	}
	require.Empty(t, m.Moves, "the virtual IP stays where it is")
	require.Zero(t, m.Shared)
	require.Zero(t, m.Cuts)
	require.Equal(t, holder, d.waitHolder(t))
}
