package chaos

import (
	"context"
	"path/filepath"

	"keepalived-charm/tests/machine"
)

// machineFaults are about the machine as a whole.
func machineFaults() []Fault {
	return []Fault{
		{Name: "machine loses power for 3 s", Bounds: bounds(2, 0.5, 8), Lasts: seconds(3), Telling: true, Inject: kill, Recover: heal},
		{Name: "machine of a standby loses power for 3 s", Standby: true, Bounds: bounds(0.2, 0, 0), Lasts: seconds(3), Inject: kill, Recover: heal},
		{Name: "machine reboots", Bounds: bounds(2, 0.5, 8),
			Inject: one(func(ctx context.Context, m *machine.Machine) error { return m.Reboot(ctx) })},
		{Name: "all machines lose power at once", Bounds: bounds(15, 0.5, 15), Lasts: seconds(1), Inject: everyone(kill), Recover: everyone(heal)},
		{Name: "machine hangs for 10 s: nothing runs, nothing is sent or heard", Bounds: bounds(2, 12, 2), Lasts: seconds(10), Telling: true,
			Inject: all(one(partition), one(freeze)), Recover: all(one(rejoin), one(thaw))},
		{Name: "machine's processes freeze for 10 s, its kernel answers", Bounds: bounds(3, 12, 2), Lasts: seconds(10),
			Inject: one(freeze), Recover: one(thaw)},
		{Name: "machine hangs for 1 s", Bounds: bounds(2, 2, 2), Lasts: seconds(1),
			Inject: all(one(partition), one(freeze)), Recover: all(one(rejoin), one(thaw))},
		{Name: "all processors are busy with more weight for 10 s", Bounds: bounds(1, 0.5, 2), Lasts: seconds(10),
			Inject:  everywhere("for n in 1 2 3 4; do systemd-run --quiet --unit=busy$n --property=CPUWeight=10000 --property=Nice=-20 sh -c 'while :; do :; done'; done"),
			Recover: everywhere("systemctl stop 'busy*'")},
		{Name: "keepalived's clock (CLOCK_REALTIME) jumps an hour ahead and, after 3 s, back", Bounds: bounds(0.2, 0, 0), Lasts: seconds(3),
			Prepare: fakeClock, Inject: everywhere("echo +3600 >/run/clock\n" + clockJumped), Recover: everywhere("echo +0 >/run/clock"), Restore: realClock},
	}
}

func kill(ctx context.Context, s *Stage) error { return s.Kill(ctx, s.Target) }

func heal(ctx context.Context, s *Stage) error { return s.Heal(ctx, s.Target) }

// everyone does to every machine what an act does to the target.
func everyone(act Act) Act {
	return func(ctx context.Context, s *Stage) error {
		for _, id := range s.ids() {
			if err := act(ctx, &Stage{Lab: s.Lab, Target: id}); err != nil {
				return err
			}
		}
		return nil
	}
}

func partition(ctx context.Context, m *machine.Machine) error { return m.Partition(ctx) }
func rejoin(ctx context.Context, m *machine.Machine) error    { return m.Rejoin(ctx) }
func freeze(_ context.Context, m *machine.Machine) error      { return m.Freeze() }
func thaw(_ context.Context, m *machine.Machine) error        { return m.Thaw() }

// clockDropIn has keepalived read CLOCK_REALTIME from libfaketime.
const clockDropIn = `[Service]
Environment=LD_PRELOAD=/usr/local/lib/libfaketime.so.1 FAKETIME_TIMESTAMP_FILE=/run/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
`

// clockJumped fails unless keepalived's processes have the library, and it sets the
// clock of a process.
const clockJumped = `for pid in $(pgrep -x keepalived); do grep -q libfaketime /proc/$pid/maps; done
now=$(date +%s)
export $(tr '\0' '\n' </proc/$(pgrep -o -x keepalived)/environ | grep -E '^(LD_PRELOAD|FAKETIME)')
[ $(date +%s) -gt $((now + 3500)) ]`

// fakeClock restarts keepalived on every machine with a clock that can be set. A
// machine of the lab shares its clock with this host.
func fakeClock(ctx context.Context, s *Stage) error {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		return errNoFaketime
	}
	for _, id := range append(s.Others, s.Target) {
		m, err := s.Machine(id)
		if err == nil {
			err = m.CopyIn(ctx, found[0], "/usr/local/lib/libfaketime.so.1")
		}
		if err == nil {
			err = m.WriteFile(ctx, "/run/systemd/system/keepalived.service.d/clock.conf", []byte(clockDropIn), 0o644)
		}
		if err == nil {
			err = s.on(ctx, "echo +0 >/run/clock; systemctl daemon-reload; systemctl restart keepalived", id)
		}
		if err != nil {
			return err
		}
	}
	return s.settle(ctx)
}

func realClock(ctx context.Context, s *Stage) error {
	return everywhere("rm -rf /run/systemd/system/keepalived.service.d /run/clock; systemctl daemon-reload; systemctl restart keepalived")(ctx, s)
}
