package scenario_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// fragment is the application's part of keepalived's configuration.
const fragment = "/etc/keepalived/charm.d/keepalived.conf"

func TestKilledHooks(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	reloadOwed := "/var/lib/keepalived-charm/keepalived/owed/reload"
	vips := []string{lab.VIP.String(), otherVIP.String()}
	for _, row := range []struct {
		claim string
		// reached tells, from the machine's files, that the hook has come so far.
		reached func(root, vip string) bool
	}{
		{"a hook killed as it starts is run again", func(string, string) bool { return true }},
		{"a hook killed while a reload is owed and not due yet is run again", func(root, vip string) bool {
			return exists(root + reloadOwed)
		}},
		{"a hook killed between the new file and the reload is run again and reloads", func(root, vip string) bool {
			text, err := os.ReadFile(root + fragment)
			return err == nil && bytes.Contains(text, []byte(vip))
		}},
	} {
		d.scenario(t, row.claim, func(t *testing.T) {
			former := vips[0]
			vips[0], vips[1] = vips[1], vips[0]
			id, err := d.Holder(lab.VIP.Next())
			if former == lab.VIP.String() {
				id, err = d.Holder(lab.VIP)
			}
			require.NoError(t, err)
			unit := d.unitOn(t, id)
			since := time.Now()
			killed := d.killHook(t, id, func(root string) bool { return row.reached(root, vips[0]) })
			require.NoError(t, d.SetConfig("keepalived", map[string]string{"virtual_ip": vips[0]}))
			require.NoError(t, <-killed)
			d.settled(t)
			d.allSay(t, "active", "VIP ready")
			hooks := d.Hooks(unit, since)
			require.GreaterOrEqual(t, len(hooks), 2, "the hook ran again: %v", hooks)
			d.converged(t, vips[0], former)
		})
	}
	d.interruptedInstall(t, vips[0], vips[1])
}

func (d *deployment) interruptedInstall(t *testing.T, vip, former string) {
	for _, row := range []struct {
		claim     string
		interrupt func(t *testing.T, id string) error
	}{
		{"an install hook killed while apt works is run again", func(t *testing.T, id string) error {
			m, err := d.Machine(id)
			require.NoError(t, err)
			return <-d.killHook(t, id, func(string) bool {
				_, err := find(m, "dpkg")
				return err == nil
			})
		}},
		{"a machine that loses power while apt works serves once it is back", func(t *testing.T, id string) error {
			m, err := d.Machine(id)
			require.NoError(t, err)
			poll.Until(t, func() bool {
				_, err := find(m, "dpkg")
				return err == nil
			}, 20*time.Second, time.Millisecond)
			require.NoError(t, d.Kill(d.ctx, id))
			return d.Heal(d.ctx, id)
		}},
	} {
		d.scenario(t, row.claim, func(t *testing.T) {
			id := d.newMachine(t)
			require.NoError(t, d.AddUnit("haproxy", id))
			require.NoError(t, row.interrupt(t, id))
			unit := d.unitOn(t, id)
			limited, cancel := context.WithTimeout(d.ctx, patience.With(4*time.Minute)) // apt, and a look in each of its hooks
			defer cancel()
			require.NoError(t, d.WaitUnits(limited, "the new unit to serve", func(units map[string]lab.Unit) bool {
				u, ok := units[unit]
				return ok && strings.HasPrefix(u.Workload.Message, "VIP ready")
			}))
			d.settled(t)
			require.Equal(t, "installed", d.run(t, id, "dpkg --audit; dpkg-query --show --showformat '${db:Status-Status}' keepalived"))
			d.converged(t, vip, former)
		})
	}
}

// converged requires that machines, files and daemons agree on one address.
func (d *deployment) converged(t *testing.T, vip, former string) {
	t.Helper()
	for _, unit := range d.units() {
		id := d.machineOf(t, unit)
		text := d.run(t, id, "cat "+fragment)
		require.Contains(t, text, vip)
		require.NotContains(t, text, former)
		require.Empty(t, d.run(t, id, "ls /var/lib/keepalived-charm/keepalived/owed"), "nothing is owed on machine %s", id)
	}
	poll.Until(t, func() bool {
		var now, before int
		for _, m := range d.Net.Machines() {
			addresses, err := m.Addresses(d.ctx)
			require.NoError(t, err)
			for _, a := range addresses {
				now += count(a.Prefix.Addr().String() == vip)
				before += count(a.Prefix.Addr().String() == former)
			}
		}
		return now == 1 && before == 0
	}, 5*time.Second, 50*time.Millisecond, "one machine holds %s and none holds %s", vip, former)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// killHook waits for the next hook on a machine, lets it go on in small steps until
// it has come to where reached says so, and kills it there.
func (d *deployment) killHook(t *testing.T, id string, reached func(root string) bool) <-chan error {
	t.Helper()
	m, err := d.Machine(id)
	require.NoError(t, err)
	root := filepath.Join("/proc", strconv.Itoa(m.PID()), "root")
	done := make(chan error, 1)
	go func() {
		var pid int
		err := os.ErrNotExist
		for end := time.Now().Add(patience.With(time.Minute)); err != nil && time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
			pid, err = find(m, "dispatch")
		}
		for end := time.Now().Add(patience.With(time.Minute)); err == nil; {
			if err = syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				break
			}
			if reached(root) {
				err = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
			if time.Now().After(end) {
				err = errors.New("the hook does not come so far")
			}
			err = errors.Join(err, syscall.Kill(pid, syscall.SIGCONT))
			time.Sleep(500 * time.Microsecond)
		}
		done <- err
	}()
	return done
}

// find looks for a program by name among a machine's processes.
func find(m *machine.Machine, program string) (int, error) {
	namespace, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(m.PID()), "ns/pid"))
	if err != nil {
		return 0, err
	}
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(text)) != program {
			continue
		}
		dir := filepath.Dir(name)
		if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err != nil || bytes.HasSuffix(line, []byte("\x00refresh\x00")) {
			continue // a run of the notifier's, which Juju does not run again
		}
		if place, err := os.Readlink(filepath.Join(dir, "cwd")); program == "dispatch" && (err != nil || !strings.Contains(place, "/unit-keepalived-")) {
			continue // a hook of another charm
		}
		if n, err := os.Readlink(filepath.Join(dir, "ns/pid")); err == nil && n == namespace {
			return strconv.Atoi(filepath.Base(dir))
		}
	}
	return 0, os.ErrNotExist
}
