package lab

import (
	"context"
	"fmt"
	"time"

	"keepalived-charm/tests/bench"
	"keepalived-charm/tests/machine"
)

// What the Python charm needed, seconds, measured in the same way: by new
// connections every 10 ms on three nodes; Debian 12's keepalived 2.2.7.
var (
	pythonCrash   = bench.Reference{Text: "3.0 (2.8..8.5)", Low: 2.76, Median: 3.03, High: 8.47, Measured: true}
	pythonService = bench.Reference{Text: "3.9-8.2 (3.3..10)", Low: 3.29, Median: 7.46, High: 10, Measured: true}
	// Its check connects, which the kernel answers for a process that hangs.
	pythonHang   = bench.Reference{Text: "not noticed"}
	pythonStop   = bench.Reference{Text: "0.60 (0.60..5.10)", Low: 0.6, Median: 0.6, High: 5.1, Measured: true}
	pythonReturn = bench.Reference{Text: "0, 1 move", Measured: true}
	// One unit alone 0.6 s, two moves; all together, as Juju does it, 4.7 s.
	pythonOption = bench.Reference{Text: "4.7 (0.6..4.7)", Low: 0.6, Median: 4.7, High: 4.7, Measured: true}
)

// rest is the time in which a fault is over at default options, with room for
// the address to move a second time where it should not.
const rest = 3 * time.Second

// benchRows lists all that is measured, in the order of the table.
func benchRows() []benchRow {
	rows := []benchRow{
		{
			Row:   faultRow("holder's machine loses power", pythonCrash, 0.8),
			event: func(ctx context.Context, s *stage) error { return s.Kill(ctx, s.holder) },
			rest:  rest,
		}, {
			Row: faultRow("service on the holder is killed", pythonService, 0.6), sick: true,
			prepare: script("mkdir -p /run/systemd/system/haproxy.service.d\n" +
				"printf '[Service]\\nRestart=no\\n' >/run/systemd/system/haproxy.service.d/bench.conf\nsystemctl daemon-reload"),
			event: script("systemctl kill --signal=KILL haproxy"),
			rest:  rest,
		}, {
			Row: faultRow("service on the holder is stopped", pythonService, 0.6), sick: true,
			event: script("systemctl stop haproxy"),
			rest:  rest,
		}, {
			// The next check is up to 1 s away, then three time out after 1 s each.
			Row: faultRow("service on the holder hangs", pythonHang, 4.3), sick: true,
			event: script("systemctl kill --signal=STOP haproxy"),
			rest:  rest + 4*time.Second,
		}, {
			Row:   faultRow("keepalived on the holder is stopped", pythonStop, 0.1),
			event: script("systemctl stop keepalived"),
			rest:  rest,
		}, {
			Row:   faultRow("holder's machine is shut down", bench.Reference{}, 0.1),
			event: shutDown,
			rest:  rest,
		}, {
			Row:     faultRow("holder's unit is removed", pythonStop, 0.1),
			event:   removeHolder,
			rest:    rest,
			restore: func(ctx context.Context, s *stage) error { _, err := s.Model.AddUnit("haproxy", s.holder); return err },
		}, {
			Row:     quietRow("failed holder returns", pythonReturn),
			prepare: killHolder,
			event:   heal,
			rest:    rest,
		},
	}
	for _, o := range []struct{ name, value string }{
		{"vip_hostname", "api.example.com"},
		{"healthcheck_interval", "2"},
		{"port", fmt.Sprint(machine.OtherServicePort)},
	} {
		rows = append(rows, optionRow(o.name, o.value))
	}
	return rows
}

// faultRow is an event that makes the address move once.
func faultRow(event string, python bench.Reference, outage bench.Seconds) bench.Row {
	return bench.Row{Event: event, Python: python, Bound: bench.Bound{Outage: outage, Moves: 1}}
}

// quietRow is an event that clients do not notice.
func quietRow(event string, python bench.Reference) bench.Row {
	return bench.Row{Event: event, Python: python}
}

// optionRow changes an option of all units at once, whose hooks run together.
func optionRow(name, value string) benchRow {
	return benchRow{
		Row:     quietRow("option changed: "+name, pythonOption),
		event:   func(ctx context.Context, s *stage) error { return s.Configure(ctx, name+"="+value) },
		rest:    rest,
		restore: func(ctx context.Context, s *stage) error { return s.resetOption(ctx, name) },
	}
}

// resetOption gives an option its default again.
func (s *stage) resetOption(ctx context.Context, name string) error {
	if err := s.Model.ResetConfig("keepalived", name); err != nil {
		return err
	}
	return s.Settled(ctx)
}

// script runs a shell script on the holder's machine.
func script(text string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error { return s.on(ctx, text) }
}

// removeHolder is juju remove-unit of the principal unit whose machine has the
// address.
func removeHolder(ctx context.Context, s *stage) error {
	unit, ok := s.UnitOn("haproxy", s.holder)
	if !ok {
		return fmt.Errorf("cannot find a unit of haproxy on machine %s", s.holder)
	}
	if err := s.Model.RemoveUnit(unit); err != nil {
		return err
	}
	return s.Settled(ctx)
}

// shutDown switches the holder's machine off in good order.
func shutDown(ctx context.Context, s *stage) error {
	m, err := s.Machine(s.holder)
	if err != nil {
		return err
	}
	if err := m.Stop(ctx); err != nil {
		return err
	}
	return s.Model.SetMachineDown(s.holder, true)
}

// killHolder cuts the holder's power and waits for its successor, which is the
// holder from then on.
func killHolder(ctx context.Context, s *stage) error {
	err := s.Kill(ctx, s.holder)
	if err == nil {
		s.holder, err = s.WaitHolder(ctx, s.vip)
	}
	return err
}

// heal switches every machine on that has no power and waits for the agents.
func heal(ctx context.Context, s *stage) error {
	if err := s.powerOn(ctx); err != nil {
		return err
	}
	return s.Settled(ctx)
}
