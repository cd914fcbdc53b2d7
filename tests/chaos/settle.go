package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

var errNoFaketime = errors.New("cannot set keepalived's clock: the package libfaketime is missing, make deps installs it")

const (
	// settleLimit bounds how long a deployment may take to be as it should. Both are
	// longer on a slow machine.
	settleLimit = 90 * time.Second
	// hookAfter is how long the deployment has until the next regular hook comes; in
	// real life that is up to 5 minutes.
	hookAfter = 12 * time.Second
)

// subordinates are the units of the charm, by name.
func (s *Stage) subordinates() map[string]lab.Unit {
	units := s.Units()
	maps.DeleteFunc(units, func(name string, _ lab.Unit) bool { return !strings.HasPrefix(name, "keepalived/") })
	return units
}

// failing is what Juju says of a unit whose hook failed; empty when none did.
func failing(u lab.Unit) string {
	for _, said := range []lab.Said{u.Agent, u.Workload} {
		if said.Current == "error" {
			return said.Message
		}
	}
	return ""
}

// wrong says what is not as it should be: one holder, all machines up, agents idle,
// and every status tells the truth. It is empty when all is well.
func (s *Stage) wrong() string {
	holders := s.Holders.Holders(lab.VIP)
	if len(holders) != 1 {
		return fmt.Sprintf("machines %v hold %s", holders, lab.VIP)
	}
	units := s.subordinates()
	holder := ""
	for name, u := range units {
		if "juju-"+u.Machine == holders[0] {
			holder = name
		}
	}
	for name, u := range units {
		want := "VIP ready: holds " + s.served
		if name != holder {
			want = fmt.Sprintf("VIP ready: standby for %s, holder %s", s.served, holder)
		}
		if m, err := s.Machine(u.Machine); err != nil || !m.Running() {
			return "machine " + u.Machine + " is off"
		}
		if said := u.Workload.Message; said != want {
			return fmt.Sprintf("%s says %q", name, said)
		}
		if u.Agent.Current != "idle" {
			return fmt.Sprintf("agent of %s is %s: %s", name, u.Agent.Current, u.Agent.Message)
		}
	}
	return ""
}

// stopped says whether a daemon or a health checker is there and does nothing: a
// standby's is missed by nobody before the holder fails.
func (s *Stage) stopped(ctx context.Context) string {
	const script = `for service in keepalived keepalived-checker-keepalived; do
	systemctl is-active --quiet $service || { echo "$service does not run"; continue; }
	dir=/sys/fs/cgroup/system.slice/$service.service
	grep -q 'frozen 1' $dir/cgroup.events && echo "$service is frozen"
	for pid in $(cat $dir/cgroup.procs); do grep -q '^State:.T' /proc/$pid/status 2>/dev/null && echo "$service is stopped"; done
done
true`
	for _, m := range s.Net.Machines() {
		if text, err := m.Run(ctx, script); err != nil || text != "" {
			return m.Name + ": " + text
		}
	}
	return ""
}

// converge waits until all is well; it returns what was wrong when it took the next
// regular hook.
func (s *Stage) converge(ctx context.Context) (hook string, err error) {
	begin := time.Now()
	for {
		why := s.wrong()
		if why == "" {
			why = s.stopped(ctx)
		}
		switch waited := time.Since(begin); {
		case why == "":
			return hook, nil
		case ctx.Err() != nil:
			return hook, ctx.Err()
		case waited > patience.With(settleLimit):
			return hook, errors.New(why)
		case waited > patience.With(hookAfter) && hook == "":
			hook = why
			if err := s.UpdateStatus(ctx); err != nil {
				return hook, err
			}
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// repair starts what a row that failed may have left stopped.
const repair = `systemctl thaw keepalived 2>/dev/null || true
systemctl kill --signal=CONT haproxy keepalived 2>/dev/null || true
systemctl stop 'busy*' 2>/dev/null || true
systemctl reset-failed
systemctl start haproxy`

// settle brings the deployment to where every row begins.
func (s *Stage) settle(ctx context.Context) error {
	for _, m := range s.Net.Machines() {
		if !m.Running() {
			if err := s.Heal(ctx, strings.TrimPrefix(m.Name, "juju-")); err != nil {
				return err
			}
		}
		if _, err := m.Run(ctx, repair); err != nil {
			return err
		}
	}
	if err := s.Settled(ctx); err != nil {
		return err
	}
	if _, err := s.converge(ctx); err != nil {
		return fmt.Errorf("cannot settle: %w\n%s", err, s.Status())
	}
	for _, m := range s.Net.Machines() {
		if err := awaitHealth(ctx, s, m.Name); err != nil {
			return err
		}
	}
	return nil
}

// awaitHealth waits until a machine's health checker finds its service well.
func awaitHealth(ctx context.Context, s *Stage, name string) error {
	const script = `for n in $(seq 100); do
	grep -q '"verdict":"healthy"' /run/keepalived-charm/keepalived/status.json && exit 0
	sleep 0.1
done
cat /run/keepalived-charm/keepalived/status.json; exit 1`
	return s.on(ctx, script, strings.TrimPrefix(name, "juju-"))
}

// aim makes the holder's machine, or a standby's, the place of the next fault.
func (s *Stage) aim(ctx context.Context, standby bool) error {
	holder, err := s.WaitHolder(ctx, lab.VIP)
	if err != nil {
		return err
	}
	s.Target, s.Others = holder, nil
	units := s.subordinates()
	for _, name := range slices.Sorted(maps.Keys(units)) {
		u := units[name]
		switch {
		case u.Machine == holder:
		case standby && s.Target == holder:
			s.Target = u.Machine
		default:
			s.Others = append(s.Others, u.Machine)
		}
	}
	if standby {
		s.Others = append(s.Others, holder)
	}
	return nil
}

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
