package scenario_test

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
	"keepalived-charm/tests/probe"
)

// Bounds of outages, each a generous multiple of what the product promises.
const (
	machineDies    = 2 * time.Second        // promised: 0.8 s
	serviceDies    = 3 * time.Second        // promised: 1.5 s
	serviceHangs   = 4 * time.Second        // promised: 2 s, half of them the timeout
	handedOver     = 300 * time.Millisecond // promised: 0.1 s
	sharedAtMost   = 200 * time.Millisecond // one advertisement interval
	deploymentLife = 40 * time.Minute       // guards against hanging
	// probePatience keeps a busy host from being taken for an outage.
	probePatience = 900 * time.Millisecond
)

// deployment is haproxy on machines of a lab, with keepalived beside it.
type deployment struct {
	*lab.Lab
	ctx context.Context
	// timed has each scenario be a measurement: it is about seconds.
	timed bool
}

// newDeployment makes a lab without applications. It ends with the test and must
// leave nothing behind.
func newDeployment(t *testing.T) *deployment {
	t.Helper()
	return newDeploymentWith(t, deploymentLife, lab.Options{})
}

// newDeploymentWith is newDeployment with another life and other options of the lab.
func newDeploymentWith(t *testing.T, life time.Duration, options lab.Options) *deployment {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), life)
	t.Cleanup(cancel)
	options.Charm = cmp.Or(options.Charm, charmFile)
	options.Progress, options.Patience = os.Stderr, probePatience
	l, err := lab.New(ctx, options)
	require.NoError(t, err)
	stop := machine.CloseOnSignal(l.Net)
	d := &deployment{Lab: l, ctx: ctx}
	t.Cleanup(func() {
		stop()
		t.Logf("%s waited %s", t.Name(), l.Waited())
		require.NoError(t, l.Close())
		require.Empty(t, traces(t, l.Net.ID), "a closed lab leaves nothing")
	})
	return d
}

// deploy brings haproxy and keepalived up on three machines.
func deploy(t *testing.T, config map[string]string) *deployment {
	t.Helper()
	return newDeployment(t).standard(t, config)
}

func (d *deployment) standard(t *testing.T, config map[string]string) *deployment {
	t.Helper()
	if err := d.Standard(d.ctx, config); err != nil {
		d.explain(t)
		require.NoError(t, err)
	}
	return d
}

// serving is the configuration with which most scenarios begin.
func serving() map[string]string { return map[string]string{"virtual_ip": lab.VIP.String()} }

// scenario runs one claim about a deployment and explains its failure.
func (d *deployment) scenario(t *testing.T, claim string, run func(t *testing.T)) {
	t.Helper()
	t.Run(claim, func(t *testing.T) {
		t.Cleanup(func() {
			if t.Failed() {
				d.explain(t)
			}
		})
		if d.timed {
			defer d.Quietly(d.ctx)()
		}
		run(t)
	})
}

// explain shows everything that helps to understand a failure.
func (d *deployment) explain(t *testing.T) {
	t.Helper()
	t.Log("\n" + d.Status())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, m := range d.Net.Machines() {
		log, err := m.Run(ctx, "tail -n 60 /var/log/juju/unit-keepalived-*.log")
		t.Logf("the agents of keepalived on %s (error: %v):\n%s", m.Name, err, log)
		for _, service := range []string{"keepalived.service", "keepalived-checker-keepalived.service", "jujud-" + strings.Replace(m.Name, "juju", "machine", 1)} {
			text, err := m.Journal(ctx, service)
			lines := strings.Split(strings.TrimSpace(text), "\n")
			lines = lines[max(0, len(lines)-60):]
			t.Logf("%s of %s (error: %v):\n%s", service, m.Name, err, strings.Join(lines, "\n"))
		}
	}
}

// ready waits until the deployment serves: hooks at rest, every check passes, one
// holder. It returns the holder's machine.
func (d *deployment) ready(t *testing.T) string {
	t.Helper()
	d.settled(t)
	for _, unit := range d.units() {
		poll.Until(t, func() bool { return d.verdict(t, unit) == "healthy" }, 10*time.Second, 50*time.Millisecond,
			"the check of %s passes", unit)
	}
	return d.waitHolder(t)
}

func (d *deployment) settled(t *testing.T) {
	t.Helper()
	require.NoError(t, d.Settled(d.ctx))
}

// waitHolder waits for one machine that holds the VIP and answers there.
func (d *deployment) waitHolder(t *testing.T) string {
	t.Helper()
	id, err := d.WaitHolder(d.ctx, lab.VIP)
	require.NoError(t, err)
	return id
}

// units lists the units of keepalived.
func (d *deployment) units() []string {
	var names []string
	for name := range d.Units() {
		if strings.HasPrefix(name, "keepalived/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// unitOn is the keepalived unit on a machine.
func (d *deployment) unitOn(t *testing.T, id string) string {
	t.Helper()
	unit, ok := d.UnitOn("keepalived", id)
	require.True(t, ok, "machine %s has a keepalived unit", id)
	return unit
}

// machineOf is the ID of a unit's machine.
func (d *deployment) machineOf(t *testing.T, unit string) string {
	t.Helper()
	u, ok := d.Units()[unit]
	require.True(t, ok, "there is a unit %s", unit)
	return u.Machine
}

// standbys lists the machines with a unit that are not the holder.
func (d *deployment) standbys(t *testing.T, holder string) []string {
	t.Helper()
	var ids []string
	for _, unit := range d.units() {
		if id := d.machineOf(t, unit); id != holder {
			ids = append(ids, id)
		}
	}
	require.NotEmpty(t, ids)
	return ids
}

// run runs a script on a machine; it must succeed.
func (d *deployment) run(t *testing.T, id, script string) string {
	t.Helper()
	m, err := d.Machine(id)
	require.NoError(t, err)
	out, err := m.Run(d.ctx, script)
	require.NoError(t, err)
	return out
}

// installs is run for a script that takes the processors for long.
func (d *deployment) installs(t *testing.T, id, script string) string {
	t.Helper()
	defer d.Toil(d.ctx)()
	return d.run(t, id, script)
}

// newMachine boots a machine with haproxy.
func (d *deployment) newMachine(t *testing.T) string {
	t.Helper()
	defer d.Toil(d.ctx)()
	ids, err := d.AddMachines(d.ctx, 1)
	require.NoError(t, err)
	m, err := d.Machine(ids[0])
	require.NoError(t, err)
	require.NoError(t, m.StartHAProxy(d.ctx))
	return ids[0]
}

// verdict is what a unit's health checker says.
func (d *deployment) verdict(t *testing.T, unit string) string {
	t.Helper()
	r, err := d.Exec(d.ctx, unit, `sed 's/.*"verdict":"\([a-z]*\)".*/\1/' /run/keepalived-charm/keepalived/status.json`)
	require.NoError(t, err)
	return strings.TrimSpace(r.Stdout)
}

func (d *deployment) configure(t *testing.T, options ...string) {
	t.Helper()
	require.NoError(t, d.Configure(d.ctx, options...))
}

// updateStatus lets every unit run update-status.
func (d *deployment) updateStatus(t *testing.T) {
	t.Helper()
	require.NoError(t, d.UpdateStatus(d.ctx))
	d.settled(t)
}

// workload is a unit's status as juju status shows it.
func (d *deployment) workload(t *testing.T, unit string) lab.Said {
	t.Helper()
	deadline := time.Now().Add(patience.With(30 * time.Second))
	for {
		u, ok := d.Units()[unit]
		require.True(t, ok, "there is a unit %s", unit)
		// After a move the notifier has every agent run something by itself.
		if u.Agent.Current != "executing" || time.Now().After(deadline) {
			require.Equal(t, "idle", u.Agent.Current, "agent of %s: %s", unit, u.Agent.Message)
			return u.Workload
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// statusLimit is how long a status may lag behind: promised are 5 s after a move, and
// at once after a hook.
const statusLimit = 8 * time.Second

// shows waits until a unit's status is the wanted one, and returns it as it is in the
// end.
func (d *deployment) shows(t *testing.T, unit string, wanted func(lab.Said) bool) lab.Said {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if s := d.workload(t, unit); wanted(s) || time.Since(begin) > patience.With(statusLimit) {
			return s
		}
	}
}

// allSay requires one status of every unit.
func (d *deployment) allSay(t *testing.T, status, start string) {
	t.Helper()
	for _, unit := range d.units() {
		s := d.shows(t, unit, func(s lab.Said) bool { return s.Current == status && strings.HasPrefix(s.Message, start) })
		require.Equal(t, status, s.Current, "%s: %s", unit, s.Message)
		require.Truef(t, strings.HasPrefix(s.Message, start), "%s says %q, must start with %q", unit, s.Message, start)
	}
}

// saysExactly requires one status of a unit.
func (d *deployment) saysExactly(t *testing.T, unit, want string) {
	t.Helper()
	s := d.shows(t, unit, func(s lab.Said) bool { return s.Current+": "+s.Message == want })
	require.Equal(t, want, s.Current+": "+s.Message, unit)
}

// truthful requires that each unit's status says what the kernels say.
func (d *deployment) truthful(t *testing.T, holder string) {
	t.Helper()
	for _, unit := range d.units() {
		want := "VIP ready: holds " + lab.VIP.String()
		if d.machineOf(t, unit) != holder {
			want = fmt.Sprintf("VIP ready: standby for %s, holder %s", lab.VIP, d.unitOn(t, holder))
		}
		d.saysExactly(t, unit, "active: "+want)
	}
}

// role is what a unit on a machine says of its part by the kernels' word.
func (d *deployment) role(t *testing.T, id string) string {
	t.Helper()
	holder := d.waitHolder(t)
	if holder == id {
		return "VIP ready: holds " + lab.VIP.String()
	}
	return fmt.Sprintf("VIP ready: standby for %s, holder %s", lab.VIP, d.unitOn(t, holder))
}

// measure probes the VIP around an event.
func (d *deployment) measure(t *testing.T, rest time.Duration, event func()) lab.Measurement {
	t.Helper()
	m, err := d.Measure(d.ctx, lab.VIP, rest, func(context.Context) error {
		event()
		return nil
	})
	require.NoError(t, err)
	t.Log(m)
	return m
}

// unnoticed requires that clients noticed nothing.
func unnoticed(t *testing.T, m lab.Measurement) {
	t.Helper()
	require.Zero(t, m.Lost, "no connection is lost")
	require.Zero(t, m.Cuts, "no connection is cut")
	require.Empty(t, m.Moves, "the VIP stays where it is")
	require.Zero(t, m.Shared, "there are never two holders")
}

// moved requires one move within a bound and never two holders for long.
func moved(t *testing.T, m lab.Measurement, bound time.Duration) {
	t.Helper()
	require.Less(t, m.Outage, patience.With(bound))
	require.Len(t, lasting(m.Moves), 1, "the VIP moves once")
	require.LessOrEqual(t, m.Shared, patience.With(sharedAtMost))
}

// lasting leaves out moves to a machine that had to give way within an advertisement
// interval. Standbys of three units are parted by 8 ms, and a busy host may wake the
// second one first.
func lasting(moves []probe.Move) []probe.Move {
	var list []probe.Move
	for n, m := range moves {
		if n+1 == len(moves) || moves[n+1].At.Sub(m.At) > patience.With(sharedAtMost) {
			list = append(list, m)
		}
	}
	return list
}

// holders lists the machines whose kernel has an address.
func (d *deployment) holders(a netip.Addr) []string { return d.Holders.Holders(a) }

// duration is what the environment says, or usual where it says nothing.
func duration(t *testing.T, variable string, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "%s is a duration such as 5m", variable)
	return d
}
