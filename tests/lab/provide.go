package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"keepalived-charm/tests/patience"
)

// Where machines see the lab's directories.
const (
	agentRun      = "/opt/juju-lab/run"
	agentPrograms = "/opt/juju-lab/bin"
	// agentPrometheus is Debian's Prometheus, for lab-collector.
	agentPrometheus = "/opt/juju-lab/prometheus"
)

// jujudService is the systemd unit that runs a machine's agent, and in it the agents of the
// units on the machine, as Juju does.
const jujudService = `[Unit]
Description=Juju agent for machine-%[1]s
StartLimitIntervalSec=0

[Service]
ExecStart=%[2]s/jujud -machine-id %[1]s -socket %[3]s/%[4]s -hook-tool %[2]s/hooktool -calls %[5]s -longest-retry %[6]s
Restart=on-failure
RestartSec=1
# As with Juju, what a hook left running in another control group goes on.
KillMode=process

[Install]
WantedBy=multi-user.target
`

// jujudName is the name of a machine's agent service, as Juju calls it.
func jujudName(id string) string { return "jujud-machine-" + id }

// unitCalls is the directory of files that say what happens to units' calls of the API, see
// tests/juju/cmd/jujud.
const unitCalls = "/run/juju"

// callsFile is such a file of a unit: held keeps it from learning that its application has
// gone to another charm, refused has the calls that fail once.
func callsFile(unit, kind string) string {
	return unitCalls + "/unit-" + strings.ReplaceAll(unit, "/", "-") + "." + kind
}

// Refuse has a unit's next calls of methods, such as Uniter.CommitHookChanges, fail at its agent
// as they do where the controller refuses them, once for each.
func (l *Lab) Refuse(ctx context.Context, unit string, methods ...string) error {
	m, err := l.MachineOf(unit)
	if err != nil {
		return err
	}
	return m.WriteFile(ctx, callsFile(unit, "refused"), []byte(strings.Join(methods, "\n")), 0o644)
}

// Refused are the calls that Refuse asked for and that have not come yet.
func (l *Lab) Refused(ctx context.Context, unit string) ([]string, error) {
	m, err := l.MachineOf(unit)
	if err != nil {
		return nil, err
	}
	text, err := m.ReadFile(ctx, callsFile(unit, "refused"))
	return strings.Fields(string(text)), err
}

// UnitLog is the file that a unit's agent logs to on its machine.
func UnitLog(unit string) string {
	return "/var/log/juju/unit-" + strings.ReplaceAll(unit, "/", "-") + ".log"
}

// provideLimit bounds how long a machine takes that Juju wants.
const provideLimit = 5 * time.Minute

// provide is called when Juju wants a machine.
func (l *Lab) provide(id string) {
	l.agents.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience.With(provideLimit))
		defer cancel()
		if err := l.provideMachine(ctx, id); err != nil {
			l.fault(fmt.Errorf("cannot provide machine %s: %w", id, err))
		}
	})
}

// provideMachine boots a machine and starts its agent, as a cloud does: with the agent's
// configuration in its place. haproxy is on every machine before any charm is.
func (l *Lab) provideMachine(ctx context.Context, id string) error {
	defer l.Toil(ctx)()
	l.say("booting machine %s", id)
	m, err := l.boot(ctx, id, l.Juju.socket)
	if err != nil {
		return err
	}
	if err := m.StartHAProxy(ctx); err != nil {
		return err
	}
	a, err := l.Juju.ask(ctx, question{Provide: &provide{id, []string{m.Port().IPv4.Addr().String()}}})
	if err != nil {
		return err
	}
	if err := m.WriteFile(ctx, filepath.Join("/var/lib/juju/agents/machine-"+id, "agent.conf"), []byte(a.Agent), 0o600); err != nil {
		return err
	}
	text := fmt.Sprintf(jujudService, id, agentPrograms, agentRun, jujuSocket, unitCalls, l.retry)
	if err := m.WriteFile(ctx, "/etc/systemd/system/"+jujudName(id)+".service", []byte(text), 0o644); err != nil {
		return err
	}
	_, err = m.Run(ctx, "systemctl enable --quiet --no-reload "+jujudName(id)+"; systemctl start "+jujudName(id))
	return err
}
