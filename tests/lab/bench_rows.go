package lab

import (
	"context"
	"fmt"
	"time"

	"keepalived-charm/tests/bench"
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

// benchRows lists all that is measured. Rows keep this order in their table; what
// takes units away comes last. busy is how long the cores are kept so.
func benchRows(busy time.Duration) []experiment {
	all := []experiment{{rows: defaultFaults()}}
	all = append(all, changes()...)
	all = append(all, variants(busy)...)
	return append(all, peerRows()...)
}

// defaultFaults are those of product section 6, three units at default options.
func defaultFaults() []*benchRow {
	return []*benchRow{
		{
			target: faultRow("holder's machine loses power", pythonCrash, 0.8),
			event:  losePower,
			rest:   rest,
		}, {
			target: faultRow("service on the holder is killed", pythonService, 0.6), sick: true,
			prepare: script(staysDead),
			event:   script("systemctl kill --signal=KILL haproxy"),
			rest:    rest,
		}, {
			target: faultRow("service on the holder is stopped", pythonService, 0.6), sick: true,
			event: script("systemctl stop haproxy"),
			rest:  rest,
		}, {
			// Connections that nobody takes are noticed at once, but have until the
			// timeout, 1 s.
			target: faultRow("service on the holder hangs", pythonHang, 1.5), sick: true,
			event: script("systemctl kill --signal=STOP haproxy"),
			rest:  rest + 2*time.Second,
		}, {
			target: faultRow("keepalived on the holder is stopped", pythonStop, 0.1),
			// The charm, told of it, may start it again before it has quite ended.
			event: script("systemctl stop keepalived || true"),
			rest:  rest,
		}, {
			target: faultRow("holder's machine is shut down", bench.Reference{}, 0.1),
			event:  shutDown,
			rest:   rest,
		}, {
			target:  faultRow("holder's unit is removed", pythonStop, 0.1),
			event:   removeHolder,
			rest:    rest,
			restore: func(_ context.Context, s *stage) error { return s.AddUnit("haproxy", s.holder) },
		}, {
			target:  quietRow(bench.Fault, "failed holder returns", pythonReturn),
			prepare: killHolder,
			event:   heal,
			rest:    rest,
		},
	}
}

// oneInterval bounds how long two machines may have the address at default options.
const oneInterval bench.Seconds = 0.2

// faultRow is an event that makes the address move once.
func faultRow(event string, python bench.Reference, outage bench.Seconds) target {
	return target{Row: bench.Row{Kind: bench.Fault, Event: event, Python: python,
		Bound: bench.Bound{Outage: outage, Moves: 1, TwoHolders: oneInterval}}}
}

// quietRow is an event that clients do not notice.
func quietRow(kind bench.Kind, event string, python bench.Reference) target {
	return target{Row: bench.Row{Kind: kind, Event: event, Python: python, Bound: bench.Bound{TwoHolders: oneInterval}}}
}

// staysDead has systemd start no service again that was killed.
const staysDead = "mkdir -p /run/systemd/system/haproxy.service.d\n" +
	"printf '[Service]\\nRestart=no\\n' >/run/systemd/system/haproxy.service.d/bench.conf\nsystemctl daemon-reload"

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
	if err := s.DestroyUnit(unit); err != nil {
		return err
	}
	return s.Settled(ctx)
}

// shutDown switches the holder's machine off in good order.
func shutDown(ctx context.Context, s *stage) error { return s.ShutDown(ctx, s.holder) }

// losePower cuts the holder's power.
func losePower(ctx context.Context, s *stage) error { return s.Kill(ctx, s.holder) }

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
