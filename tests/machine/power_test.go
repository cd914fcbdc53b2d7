package machine_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/poll"
)

// fetch is what the client gets from the machine's service, empty after half a second of silence.
func fetch(ctx context.Context, lab *machine.Lab, host string) string {
	out, err := lab.ClientCommand(ctx, "timeout", "5", "bash", "-c",
		`exec 3<>/dev/tcp/"$0"/443 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && timeout 0.5 tail -n 1 <&3`, host).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func reaches(t *testing.T, ctx context.Context, from, to *machine.Machine) bool {
	t.Helper()
	result, err := from.Exec(ctx, "ping", "-c1", "-W1", to.Port().IPv4.Addr().String())
	require.NoError(t, err)
	return result.Code == 0
}

func checkHAProxy(t *testing.T, ctx context.Context, lab *machine.Lab, m, _ *machine.Machine) {
	start := time.Now()
	require.NoError(t, m.StartHAProxy(ctx))
	t.Logf("haproxy started in %s", time.Since(start).Round(time.Millisecond))
	require.NoError(t, m.StartHAProxy(ctx), "again changes nothing")
	require.Equal(t, "juju-0", fetch(ctx, lab, m.Port().IPv4.Addr().String()))
	require.Equal(t, "juju-0", fetch(ctx, lab, m.Port().IPv6.Addr().String()))
}

func checkCable(t *testing.T, ctx context.Context, _ *machine.Lab, m, other *machine.Machine) {
	carrier := func() string {
		out, err := m.ReadFile(ctx, "/sys/class/net/eth0/carrier")
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	require.True(t, reaches(t, ctx, other, m))
	require.NoError(t, m.LinkDown(ctx))
	require.Equal(t, "0", carrier())
	require.False(t, reaches(t, ctx, other, m))
	require.NoError(t, m.LinkUp(ctx))
	require.True(t, reaches(t, ctx, other, m))

	require.NoError(t, m.Partition(ctx))
	require.Equal(t, "1", carrier())
	require.False(t, reaches(t, ctx, other, m))
	require.NoError(t, m.Rejoin(ctx))
	require.True(t, reaches(t, ctx, other, m))
}

func checkSecondInterface(t *testing.T, ctx context.Context, lab *machine.Lab, m, _ *machine.Machine) {
	second := machine.Address{Interface: machine.SecondInterface, Prefix: m.Port().Second()}
	has := func() []machine.Address {
		all, err := m.Addresses(ctx)
		require.NoError(t, err)
		return all
	}
	require.NoError(t, lab.Network.Attach(ctx, lab.Client()))
	require.NotContains(t, has(), second)
	for range 2 {
		require.NoError(t, lab.Network.Attach(ctx, m.Port()))
		require.Contains(t, has(), second)
		require.Equal(t, "juju-0", fetch(ctx, lab, second.Prefix.Addr().String()))
		require.NoError(t, lab.Network.Detach(ctx, m.Port()))
		require.NotContains(t, has(), second)
	}
	require.NoError(t, lab.Network.Attach(ctx, m.Port()))
	// It goes with the power, which the next claims cut.
}

func checkFreeze(t *testing.T, ctx context.Context, lab *machine.Lab, m, other *machine.Machine) {
	host := m.Port().IPv4.Addr().String()
	require.NoError(t, m.Freeze())
	require.True(t, reaches(t, ctx, other, m), "the kernel is not frozen")
	require.Empty(t, fetch(ctx, lab, host))
	require.NoError(t, m.Thaw())
	require.Equal(t, "juju-0", fetch(ctx, lab, host))
}

// powerLog records a lab's power events.
type powerLog struct {
	mu     sync.Mutex
	events []string
}

func (l *powerLog) note(name, _ string, on bool, _ time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	word := " off"
	if on {
		word = " on"
	}
	l.events = append(l.events, name+word)
}

func (l *powerLog) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.events...)
}

func checkKill(t *testing.T, ctx context.Context, lab *machine.Lab, m, other *machine.Machine) {
	var log powerLog
	lab.OnPower(log.note)
	_, err := m.Run(ctx, "ip address add 10.10.74.250/32 dev eth0; echo kept >/root/kept; logger -t lab before the cut")
	require.NoError(t, err)
	require.Len(t, addresses(t, ctx, m), 4, "its own two, that of the second interface, the added one")
	start := time.Now()
	require.NoError(t, m.Kill(ctx))
	t.Logf("killed in %s", time.Since(start).Round(time.Millisecond))

	require.False(t, m.Running())
	require.Empty(t, addresses(t, ctx, m))
	require.False(t, reaches(t, ctx, other, m))
	_, err = m.Exec(ctx, "true")
	require.ErrorContains(t, err, "machine juju-0 is switched off")
	journal, err := m.Journal(ctx, "")
	require.NoError(t, err)
	require.Contains(t, journal, "before the cut", "the disk of a dead machine can be read")
	require.NoError(t, m.Kill(ctx), "killing it again changes nothing")

	start = time.Now()
	require.NoError(t, m.Heal(ctx))
	t.Logf("healed in %s", time.Since(start).Round(time.Millisecond))
	kept, err := m.ReadFile(ctx, "/root/kept")
	require.NoError(t, err)
	require.Equal(t, "kept\n", string(kept))
	require.Len(t, addresses(t, ctx, m), 2)
	poll.Until(t, func() bool { return fetch(ctx, lab, "10.10.74.11") == "juju-0" },
		10*time.Second, 50*time.Millisecond, "enabled services start again")
	require.Equal(t, []string{"juju-0 off", "juju-0 on"}, log.seen())
}

func addresses(t *testing.T, ctx context.Context, m *machine.Machine) []machine.Address {
	t.Helper()
	found, err := m.Addresses(ctx)
	require.NoError(t, err)
	return found
}

func checkReboot(t *testing.T, ctx context.Context, _ *machine.Lab, m, _ *machine.Machine) {
	before := m.PID()
	start := time.Now()
	require.NoError(t, m.Reboot(ctx))
	t.Logf("rebooted in %s", time.Since(start).Round(time.Millisecond))
	from := m.PID()
	require.NotEqual(t, before, from)
	_, err := m.Exec(ctx, "systemctl", "reboot") // the machine may be gone before the command returns
	require.NoError(t, err)
	poll.Until(t, func() bool { pid := m.PID(); return pid != 0 && pid != from },
		30*time.Second, 50*time.Millisecond)
	out, err := m.Run(ctx, "cat /root/kept")
	require.NoError(t, err)
	require.Equal(t, "kept\n", out)
}

func checkPowerOff(t *testing.T, ctx context.Context, _ *machine.Lab, m, other *machine.Machine) {
	_, err := other.Exec(ctx, "systemctl", "poweroff")
	require.NoError(t, err)
	poll.Until(t, func() bool { return !other.Running() }, 30*time.Second, 20*time.Millisecond)
	start := time.Now()
	require.NoError(t, m.Stop(ctx))
	t.Logf("stopped in %s", time.Since(start).Round(time.Millisecond))
	require.False(t, m.Running())
	require.NoError(t, m.Stop(ctx), "stopping it again changes nothing")
}
