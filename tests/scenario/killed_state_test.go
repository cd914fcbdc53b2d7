package scenario_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// stateScript prints what an undisturbed and a killed run must leave alike: every
// file of ours with its owner, mode and content (but of program.json, which says of the
// installed programs when they were), services, kernel settings.
const stateScript = `
dirs="/etc/keepalived /etc/sysctl.d /etc/systemd/system /var/lib/keepalived-charm /run/keepalived-charm"
find $dirs ! -path '*/news/*' ! -name keepalived-ended -printf '%p %y %m %u %g %l\n' 2>/dev/null | sort
grep --recursive --with-filename '' /etc/keepalived /etc/sysctl.d /etc/systemd/system/*keepalived* 2>/dev/null | sort
find /var/lib/keepalived-charm -type f ! -path '*/history/*' ! -name unit ! -name program.json -exec sha256sum {} + 2>/dev/null | sort -k 2
grep . /var/lib/keepalived-charm/*/unit 2>/dev/null || true # a unit that serves nothing has none
systemctl show --property=Id,ActiveState,UnitFileState keepalived.service keepalived-checker-keepalived.service keepalived-notifier-keepalived.path
find /tmp -maxdepth 1 -name '.*'
grep -H . /proc/sys/net/ipv4/ip_nonlocal_bind /proc/sys/net/ipv6/ip_nonlocal_bind
`

// daemonScript prints what the daemon says of itself.
const daemonScript = `
pid=$(systemctl show --property=MainPID --value keepalived.service)
[ "$pid" -gt 0 ] || { echo '[]'; exit 0; }
` + reportPath + `rm -f $report
kill -$(keepalived --signum=JSON) $pid
for n in $(seq 250); do sleep 0.02; grep -q '"stats"' $report 2>/dev/null && break; done
sleep 0.02
cat $report 2>/dev/null || echo '[]'
rm -f $report
`

// daemon is what a machine's daemon runs; master tells whether it holds.
func (d *deployment) daemon(t *testing.T, id string) (text string, master int) {
	t.Helper()
	var instances []struct{ Data map[string]any }
	require.NoError(t, json.Unmarshal([]byte(d.run(t, id, daemonScript)), &instances))
	for _, i := range instances {
		for _, key := range []string{"iname", "ifp_ifname", "vrid", "version", "base_priority", "adver_int", "vips", "evips"} {
			text += strings.ReplaceAll(fmt.Sprintf("%s=%v ", key, i.Data[key]), " set", "")
		}
		master += count(i.Data["state"] == 2.0)
	}
	return text, master
}

// state is the whole deployment as text, without who happens to hold the virtual
// IPs and how often something was agreed upon.
func (d *deployment) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	holders, masters := 0, 0
	for _, m := range d.Net.Machines() {
		id := strings.TrimPrefix(m.Name, "juju-")
		unit, serves := d.UnitOn("keepalived", id)
		if !serves {
			continue
		}
		fmt.Fprintf(&b, "machine %s\n%s", id, d.run(t, id, stateScript))
		daemon, master := d.daemon(t, id)
		masters += master
		s := d.workload(t, unit)
		message := s.Current + ": " + s.Message
		if holds := regexp.MustCompile(`^active: VIP ready: holds `); holds.MatchString(message) {
			holders++
		}
		fmt.Fprintf(&b, "%s\n%s\n", roleless(message), daemon)
	}
	fmt.Fprintf(&b, "%d say that they hold, %d daemons are MASTER\n", holders, masters)
	for _, vip := range []string{lab.VIP.String(), otherVIP.String()} {
		n := 0
		for _, m := range d.Net.Machines() {
			addresses, err := m.Addresses(d.ctx)
			require.NoError(t, err)
			for _, a := range addresses {
				n += count(a.Prefix.Addr().String() == vip)
			}
		}
		fmt.Fprintf(&b, "%s is on %d\n", vip, n)
	}
	for id, members := range d.databags() {
		for unit, bag := range members {
			if _, there := d.Units()[unit]; !there {
				continue // Juju keeps what it published
			}
			for key, value := range bag {
				if key != "since" && key != "round" {
					words := strings.Split(value, ",") // peers stand in the order of their units
					slices.Sort(words)
					value = strings.Join(words, ",")
					fmt.Fprintf(&b, "%03d %s %s=%s\n", id, unit, key, value)
				}
			}
		}
	}
	lines := strings.Split(nameless(b.String()), "\n")
	at := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(s, "say that they hold") })
	slices.SortFunc(lines[at:], cmp.Compare[string])
	return strings.Join(lines, "\n")
}

// nameless is a text about units with other numbers.
func nameless(text string) string {
	text = regexp.MustCompile(`keepalived/\d+`).ReplaceAllString(text, "keepalived/N")
	text = regexp.MustCompile(`haproxy/\d+`).ReplaceAllString(text, "haproxy/N")
	text = regexp.MustCompile(`\bknows=.*`).ReplaceAllStringFunc(text, func(knows string) string {
		// Nor does it matter how often a unit began, but that it has.
		knows = regexp.MustCompile(`:[1-9]\d*`).ReplaceAllString(knows, ":begun")
		return regexp.MustCompile(`\d+:`).ReplaceAllString(knows, "N:")
	})
	text = regexp.MustCompile(`unit-keepalived-\d+`).ReplaceAllString(text, "unit-keepalived-N")
	return regexp.MustCompile(`(rank=|priority |base_priority=)\d+`).ReplaceAllString(text, "${1}N")
}

// roleless says of a holder and of a standby the same.
func roleless(message string) string {
	message = regexp.MustCompile(`(holds|standby for) `).ReplaceAllString(message, "")
	return regexp.MustCompile(`, holder keepalived/\d+`).ReplaceAllString(message, "")
}
