package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"keepalived-charm/tests/patience"
)

// Where machines see the lab's directories.
const (
	agentRun      = "/opt/juju-lab/run"
	agentPrograms = "/opt/juju-lab/bin"
)

// agentLimit bounds what is done to start or stop one agent.
const agentLimit = 30 * time.Second

// agentService is the systemd unit that runs one unit's agent. Other Juju
// versions are other programs in the same place.
const agentService = `[Unit]
Description=Juju unit agent of %[1]s
StartLimitIntervalSec=0

[Service]
ExecStart=%[2]s/unit-agent-3.5 --unit %[1]s --controller %[3]s/controller.sock --hook-tool %[2]s/hooktool
Restart=on-failure
RestartSec=1
# As with Juju, what a hook left running in another control group goes on.
KillMode=process

[Install]
WantedBy=multi-user.target
`

// agentName is the name of a unit's agent service, as Juju calls it.
func agentName(unit string) string { return "jujud-unit-" + strings.ReplaceAll(unit, "/", "-") }

// startAgent is called by the model when a unit with an agent appears.
func (l *Lab) startAgent(unit, id string) {
	l.agents.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience.With(agentLimit))
		defer cancel()
		m, err := l.Machine(id)
		if err == nil {
			text := fmt.Sprintf(agentService, unit, agentPrograms, agentRun)
			err = m.WriteFile(ctx, "/etc/systemd/system/"+agentName(unit)+".service", []byte(text), 0o644)
		}
		if err == nil {
			_, err = m.Run(ctx, "ln -sf "+agentPrograms+"/unit-agent-3.5 /usr/bin/juju-exec; systemctl enable --quiet --no-reload "+agentName(unit)+"; systemctl start "+agentName(unit))
		}
		if err != nil {
			l.fault(fmt.Errorf("cannot start the agent of %s: %w", unit, err))
		}
	})
}

// stopAgent is called when the unit has left the model; its agent ends by itself.
func (l *Lab) stopAgent(unit, id string) {
	l.agents.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience.With(agentLimit))
		defer cancel()
		m, err := l.Machine(id)
		if err != nil || !m.Running() {
			return
		}
		name := agentName(unit)
		_, err = m.Run(ctx, "systemctl disable --quiet --now "+name+"; rm -rf /etc/systemd/system/"+name+".service /var/lib/juju/agents/"+strings.TrimPrefix(name, "jujud-")+"; systemctl daemon-reload")
		if err != nil {
			l.fault(fmt.Errorf("cannot stop the agent of %s: %w", unit, err))
		}
	})
}
