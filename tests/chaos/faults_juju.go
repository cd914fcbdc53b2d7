package chaos

import (
	"context"
	"time"
)

// serviceFaults are about the principal's service.
func serviceFaults() []Fault {
	return []Fault{
		{Name: "service is killed, systemd starts it again", Bounds: bounds(3, 0.5, 3), Inject: script("systemctl kill --signal=KILL haproxy")},
		{Name: "service is stopped for 4 s", Bounds: bounds(3, 0.5, 1), Lasts: seconds(4), Inject: script("systemctl stop haproxy"), Recover: script("systemctl start haproxy")},
		{Name: "service hangs (SIGSTOP) for 6 s", Bounds: bounds(4, 0.5, 1), Lasts: seconds(6),
			Inject: script("systemctl kill --signal=STOP haproxy"), Recover: script("systemctl kill --signal=CONT haproxy")},
	}
}

// jujuFaults happen while Juju is away or at work.
func jujuFaults() []Fault {
	return []Fault{
		{Name: "controller is away, machine loses power for 4 s", Bounds: bounds(2, 0.5, 8), Lasts: seconds(4), Telling: true,
			Inject: all(down, kill), Recover: all(heal, up)},
		{Name: "controller is away, keepalived is killed and keepalived.conf deleted, for 4 s", Bounds: bounds(2, 1.5, 25), Lasts: seconds(4),
			Inject: all(down, script("rm /etc/keepalived/keepalived.conf; "+killAll)), Recover: up},
		{Name: "a hook runs while keepalived is killed", Bounds: bounds(2, 1.5, 4),
			Inject: all(setInterval, script("for n in $(seq 200); do pgrep dispatch >/dev/null && break; sleep 0.005; done; "+killAll)), Restore: resetInterval},
		{Name: "agent is killed while a hook runs", Bounds: bounds(0.2, 0, 0),
			Inject: all(setInterval, script("for n in $(seq 200); do pgrep dispatch >/dev/null && break; sleep 0.005; done; systemctl kill --kill-whom=all --signal=KILL 'jujud-*'")), Restore: resetInterval},
		{Name: "all units change the virtual router ID, the holder's machine loses power for 3 s", Bounds: bounds(3, 0.5, 20), Lasts: seconds(3),
			Inject: all(setRouter, wait(400*time.Millisecond), kill), Recover: heal, Restore: resetRouter},
	}
}

func down(_ context.Context, s *Stage) error { return s.SetAway(true) }
func up(_ context.Context, s *Stage) error   { return s.SetAway(false) }

// wait lets time pass.
func wait(d time.Duration) Act {
	return func(ctx context.Context, _ *Stage) error { pause(ctx, d); return nil }
}

func setRouter(_ context.Context, s *Stage) error {
	return s.SetConfig("keepalived", map[string]string{"router_id": "24"})
}

func resetRouter(ctx context.Context, s *Stage) error {
	if err := s.ResetConfig("keepalived", "router_id"); err != nil {
		return err
	}
	return s.Settled(ctx)
}
