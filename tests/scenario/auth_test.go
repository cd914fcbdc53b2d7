package scenario_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// The passwords of the secret's first and second revision.
const (
	firstPassword = "Zq-first"
	nextPassword  = "Zq-other"
)

// deaf is longer than a unit of VRRP version 2 waits for advertisements that it
// accepts, at an interval of one second.
const deaf = 4 * time.Second

func TestAuthentication(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	uri, err := d.AddSecret("vrrp", map[string]string{"password": firstPassword})
	require.NoError(t, err)
	d.scenario(t, "a secret is refused with VRRP version 3, and asked for until it is granted", func(t *testing.T) {
		d.ready(t)
		unnoticed(t, d.measure(t, time.Second, func() {
			d.configure(t, "vrrp_auth_secret="+uri)
			d.allSay(t, "blocked", fmt.Sprintf("option vrrp_auth_secret is %q, must be empty unless vrrp_version is 2", uri))
			d.configure(t, "vrrp_version=2", "advert_interval=1")
			d.allSay(t, "blocked", "option vrrp_auth_secret: cannot read key password of "+uri+": juju grant-secret "+uri+" keepalived")
		}))
	})
	d.scenario(t, "once it is granted all units authenticate, and nobody notices the change", func(t *testing.T) {
		require.NoError(t, d.GrantSecret(uri, "keepalived"))
		unnoticed(t, d.measure(t, deaf, func() { d.updateStatus(t) }))
		d.authenticate(t, firstPassword)
	})
	d.scenario(t, "a changed secret changes all units together, and nobody notices", func(t *testing.T) {
		d.ready(t)
		since := time.Now()
		unnoticed(t, d.measure(t, deaf, func() {
			require.NoError(t, d.UpdateSecret(uri, map[string]string{"password": nextPassword}))
			for _, unit := range d.units() {
				err := d.WaitEvent(d.ctx, since, func(e lab.Event) bool {
					return e.Unit == unit && e.Kind == lab.End && e.Name == "secret-changed"
				})
				require.NoError(t, err)
			}
			d.settled(t)
		}))
		d.authenticate(t, nextPassword)
		for _, unit := range d.units() {
			require.NotContains(t, d.run(t, d.machineOf(t, unit), "cat "+fragment), firstPassword)
		}
	})
	d.scenario(t, "passwords stand nowhere but in files that root alone reads", func(t *testing.T) {
		holder := d.ready(t)
		d.updateStatus(t)
		d.truthful(t, holder)
		d.secretsStaySecret(t, firstPassword, nextPassword)
	})
}

// authenticate requires that all units use a password and one of them holds the
// virtual IP.
func (d *deployment) authenticate(t *testing.T, password string) {
	t.Helper()
	d.ready(t)
	for _, unit := range d.units() {
		require.Contains(t, d.run(t, d.machineOf(t, unit), "cat "+fragment), "auth_pass "+password)
	}
	d.updateStatus(t)
	d.truthful(t, d.waitHolder(t))
}

// openFiles lists the files that anybody may read, the daemon's report on itself
// among them, the processes and the journal lines that hold $1.
const openFiles = `
pid=$(systemctl show --value --property=MainPID keepalived.service)
` + reportPath + `kill -s "$(keepalived --signum=JSON)" $pid
for n in $(seq 100); do grep -qs '"stats"' $report && break; sleep 0.05; done
test -s $report || echo no report
find /etc /var /run /tmp /opt/juju-lab/run /usr/local /root -xdev -type f -perm /004 -exec grep --files-with-matches --binary-files=text --fixed-strings -e "$1" {} +
grep --files-with-matches --binary-files=text --fixed-strings -e "$1" /proc/[0-9]*/cmdline /proc/[0-9]*/environ
journalctl --no-pager | grep --fixed-strings -e "$1"
rm -f $report
`

func (d *deployment) secretsStaySecret(t *testing.T, passwords ...string) {
	t.Helper()
	said := []string{d.Status(), fmt.Sprint(d.databags()), fmt.Sprint(d.Units())}
	for _, unit := range d.units() {
		for _, action := range []string{"status", "get-configuration", "history", "run-checks"} {
			r, err := d.RunAction(d.ctx, unit, action, nil)
			require.NoError(t, err)
			require.Equal(t, "completed", r.Status, r.Message)
			said = append(said, fmt.Sprint(r))
		}
	}
	for _, password := range passwords {
		for _, text := range said {
			require.NotContains(t, text, password)
		}
		for _, unit := range d.units() {
			id := d.machineOf(t, unit)
			// What does the looking must not find itself in the journal or among processes.
			found := d.run(t, id, "set -- $(echo "+base64.StdEncoding.EncodeToString([]byte(password))+" | base64 --decode)\n("+openFiles+") 2>&1 || true")
			require.Empty(t, strings.TrimSpace(found), "machine %s", id)
		}
	}
}
