package host_test

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
)

func TestWhatIsLeftGoesWhereThePythonCharmHasReplacedThisOne(t *testing.T) {
	t.Parallel()
	const python = "vrrp_script chk_svc_port {\n}\nvrrp_instance VI_1 {\n}\n"
	const dispatch = "/var/lib/juju/agents/unit-keepalived-0/charm/dispatch"
	c := healthcheck.Config{
		Application: "keepalived", Check: healthcheck.Check{Type: healthcheck.None},
		Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: "/run/priority", Interface: "eth0",
			Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}}},
	}
	config, err := c.Marshal()
	require.NoError(t, err)
	for claim, row := range map[string]struct {
		main  string
		other map[string]string
		goes  bool
		on    bool // the checker goes on
	}{
		"the Python charm's keepalived.conf":         {python, nil, true, false},
		"a hook of this charm was there before":      {"include /etc/keepalived/charm.d/*.conf\n", nil, false, true},
		"another application's Python charm's is":    {python, map[string]string{dispatch: "this charm"}, false, true},
		"another application of this charm is there": {python, map[string]string{layout.Layout{Application: "other"}.Fragment(): "theirs"}, false, false},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			other := layout.Layout{Application: "other"}
			stays := map[string]string{layout.MainFile: row.main, layout.SysctlFile: "net.ipv4.ip_nonlocal_bind=1\n",
				other.DropIn(): "theirs", other.Record(): "theirs"}
			for path, text := range row.other {
				stays[path] = text
			}
			ours := map[string]string{m.l.CheckerConfig(): string(config), m.l.Owner(): "keepalived/0\n", m.l.DropIn(): "x", m.l.CheckerUnit(): "x",
				m.l.YieldUnit(): "x", m.l.NotifierFiles()[0]: "x", m.l.NotifierFiles()[1]: "x", m.l.Fragment(): "x", m.l.Record(): "x", m.l.TrackFile(): "x",
				"/etc/systemd/system/multi-user.target.wants/" + m.l.CheckerService(): "x",
				"/etc/systemd/system/multi-user.target.wants/" + m.l.YieldService():   "x",
				"/etc/systemd/system/paths.target.wants/" + m.l.NotifierUnit():        "x"}
			for _, files := range []map[string]string{stays, ours} {
				for path, text := range files {
					m.put(path, text)
				}
			}
			m.put("/etc/passwd", checker.User+":x:999:65534:"+checker.UserComment+":"+checker.UserHome+":/usr/sbin/nologin\n")
			m.set(t, "calls", "")
			require.NoError(t, m.Retire(m.l.CheckerConfig()))
			calls := m.calls()
			require.Equal(t, row.on, slices.Contains(calls, "systemctl start --no-block "+m.l.CheckerService()))
			if row.goes {
				require.Equal(t, []string{"systemctl daemon-reload", "userdel keepalived-charm"}, calls[len(calls)-2:],
					"systemd knows of nothing any more, however long the user takes")
			}
			for path, text := range stays {
				require.Equal(t, text, m.text(path))
			}
			for path := range ours {
				_, err := os.Stat(m.in(path))
				require.Equal(t, row.goes, os.IsNotExist(err), path)
			}
		})
	}
}
