package checker

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// unitProber asks systemd for a unit's state over the system bus, as systemctl
// does for an unprivileged user. It keeps its connection: starting systemctl
// each second would cost several times the check's whole budget.
type unitProber struct {
	unit string
	bus  *dbus.Conn // nil: not connected
}

// busRetry parts two tries to reach the bus or systemd within one check.
const busRetry = 50 * time.Millisecond

// probe asks until systemd answers or ctx ends: a bus or systemd that restarts
// (an upgrade does that on every unit at about the same time) says nothing about
// the service.
func (p *unitProber) probe(ctx context.Context) (string, error) {
	for {
		state, err := p.ask(ctx)
		if err == nil {
			return "", p.judge(state)
		}
		pause := time.NewTimer(busRetry)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
		if ctx.Err() != nil {
			return "", err
		}
	}
}

// judge tells whether a unit in this state works: so does one that reloads its
// configuration (org.freedesktop.systemd1(5)).
func (p *unitProber) judge(state string) error {
	switch state {
	case "active", "reloading", "refreshing":
		return nil
	}
	return fmt.Errorf("%s is %s", p.unit, state)
}

// ask returns the unit's state. After an error the next call connects again.
func (p *unitProber) ask(ctx context.Context) (string, error) {
	if p.bus == nil {
		bus, err := connectBus(ctx)
		if err != nil {
			return "", fmt.Errorf("cannot connect to the system bus: %w", cause(err))
		}
		p.bus = bus
	}
	state, err := p.activeState(ctx)
	if err != nil {
		p.bus.Close()
		p.bus = nil
		return "", fmt.Errorf("cannot learn the state of %s: %w", p.unit, cause(err))
	}
	return state, nil
}

// connectBus makes a connection that outlives ctx, which only bounds the time it
// may take.
func connectBus(ctx context.Context) (*dbus.Conn, error) {
	life, end := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, end)
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(life))
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		end()
		return nil, err
	}
	return bus, nil
}

// activeState reads the unit's ActiveState; systemd loads the unit if need be.
func (p *unitProber) activeState(ctx context.Context) (string, error) {
	const get = "org.freedesktop.DBus.Properties.Get"
	var state string
	err := p.bus.Object("org.freedesktop.systemd1", UnitPath(p.unit)).
		CallWithContext(ctx, get, dbus.FlagNoAutoStart, "org.freedesktop.systemd1.Unit", "ActiveState").
		Store(&state)
	return state, err
}

// UnitPath is the unit's object path: every byte but letters and digits, and a
// leading digit, becomes an underscore and its hexadecimal code
// (sd_bus_path_encode(3)).
func UnitPath(unit string) dbus.ObjectPath {
	path := []byte("/org/freedesktop/systemd1/unit/")
	for i := 0; i < len(unit); i++ {
		c := unit[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if letter || c >= '0' && c <= '9' && i > 0 {
			path = append(path, c)
		} else {
			path = fmt.Appendf(path, "_%02x", c)
		}
	}
	return dbus.ObjectPath(path)
}
