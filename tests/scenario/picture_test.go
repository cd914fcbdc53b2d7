package scenario_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/patience"
)

// pictureScript prints what a needless change would alter: the services'
// processes, every file of ours with inode, time and content, and how often
// keepalived was told to reload.
const pictureScript = `
systemctl show --property=Id,MainPID,ActiveState,InvocationID keepalived.service keepalived-checker-keepalived.service
dirs="/etc/keepalived /etc/sysctl.d /etc/systemd/system /var/lib/keepalived-charm"
find $dirs -printf '%p %i %T@ %m %u %s\n' | sort
find $dirs -type f -exec sha256sum {} + | sort -k 2
grep -H . /proc/sys/net/ipv4/ip_nonlocal_bind /proc/sys/net/ipv6/ip_nonlocal_bind
echo reloads: $(journalctl --quiet --output=cat --unit=keepalived.service | grep -c '^Reloading keepalived.service')
`

// picture is a machine as pictureScript sees it.
func (d *deployment) picture(t *testing.T, id string) string {
	t.Helper()
	return d.run(t, id, pictureScript)
}

// pictures are those of every machine with a unit, by machine.
func (d *deployment) pictures(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, unit := range d.units() {
		id := d.machineOf(t, unit)
		all[id] = d.picture(t, id)
	}
	return all
}

// withoutNote leaves out of pictures the record of what a unit runs, options in use included, with its
// directory.
func withoutNote(pictures map[string]string) map[string]string {
	const state = "/var/lib/keepalived-charm/keepalived"
	for id, text := range pictures {
		lines := strings.Split(text, "\n")
		pictures[id] = strings.Join(slices.DeleteFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, state+" ") || strings.Contains(line, state+"/record.json")
		}), "\n")
	}
	return pictures
}

// databags are all unit databags of keepalived's relations, by relation and unit.
func (d *deployment) databags() map[int]map[string]map[string]string {
	return d.AllDatabags("keepalived")
}

// contentScript lists what a machine consists of, except for what apt, systemd,
// useradd and the lab keep for themselves, with the content of everything below /etc.
const contentScript = `
find /etc /var/lib /usr/local /run /opt /root /home /tmp \
	\( -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/juju -o -path /var/lib/systemd -o -path /run/systemd \
	-o -path /run/juju -o -path /tmp/juju-machine-lock -o -path /run/udev -o -path /run/log -o -path /run/user -o -path /run/lock -o -path /run/host -o -path /opt/apt-repo \
	-o -path /opt/juju-lab -o -path /run/lab-killer -o -path '/tmp/systemd-private-*' -o -name ld.so.cache -o -regex '/etc/\(passwd\|g?shadow\|group\)-' -o -path /etc/.pwd.lock \) -prune \
	-o -printf '%p %y %m %u %l\n' | sort
find /etc -type f ! -name ld.so.cache ! -regex '/etc/\(passwd\|g?shadow\|group\)-' -exec sha256sum {} + | sort -k 2
dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' keepalived 2>/dev/null || echo keepalived not-installed
systemctl is-active keepalived.service || true
systemctl is-enabled keepalived.service 2>/dev/null || echo not-found
systemctl list-units --all --plain --no-legend 'keepalived*' | awk '{print $1, $2, $3, $4}'
grep -rH . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_nonlocal_bind /proc/sys/net/ipv6/ip_nonlocal_bind 2>/dev/null | grep -v stable_secret
ip -oneline -4 address show scope global | awk '{print $2, $4}'
`

// content is a machine as contentScript sees it.
func (d *deployment) content(t *testing.T, id string) []string {
	t.Helper()
	return strings.Split(d.run(t, id, contentScript), "\n")
}

// asBefore requires that a machine's content becomes what it was: Juju takes
// the agent away after the unit, a keepalived of the owner's takes up to 4 s to
// hold its address again. What a boot changes is left out after one.
func (d *deployment) asBefore(t *testing.T, id string, before []string, booted ...string) {
	t.Helper()
	only := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool {
			return slices.Contains(b, s) || slices.Contains(booted, id) && (strings.HasPrefix(s, "/run/") || strings.HasPrefix(s, "/proc/"))
		})
	}
	var left, missing []string
	for end := time.Now().Add(patience.With(15 * time.Second)); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		after := d.content(t, id)
		left, missing = only(after, before), only(before, after)
		if len(left)+len(missing) == 0 {
			return
		}
	}
	require.Empty(t, left, "nothing is left on machine %s", id)
	require.Empty(t, missing, "nothing is missing on machine %s", id)
}
