package scenario_test

import (
	"archive/zip"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

// TestKeepalivedOfTheMachinesOwner has the owner of machines do what the charm would not
// to package and service of keepalived.
func TestKeepalivedOfTheMachinesOwner(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.ready(t)
	d.maskedService(t)
	d.packageRemoved(t)
	d.packageHeld(t)
	d.busyApt(t)
	d.noArchive(t)
}

// readyAgain waits until a unit serves, or may.
func (d *deployment) readyAgain(t *testing.T, unit string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(d.ctx, patience.With(2*time.Minute))
	defer cancel()
	require.NoError(t, d.WaitUnits(ctx, unit+" to be ready", func(units map[string]lab.Unit) bool {
		u, ok := units[unit]
		return ok && strings.HasPrefix(u.Workload.Message, "VIP ready") && !strings.Contains(u.Workload.Message, "masked")
	}))
	d.settled(t)
}

func (d *deployment) maskedService(t *testing.T) {
	d.scenario(t, "a masked keepalived.service goes on until keepalived ends, and says so", func(t *testing.T) {
		holder := d.ready(t)
		unit := d.unitOn(t, holder)
		unnoticed(t, d.measure(t, time.Second, func() {
			d.run(t, holder, "systemctl mask keepalived.service")
			d.updateStatus(t)
			d.says(t, unit, "; keepalived.service is masked, once ended it does not start again: systemctl unmask keepalived.service")
			d.configure(t, option(lab.VIP, otherVIP))
		}))
		require.Len(t, d.heldBy(t, holder, lab.VIP, otherVIP), 2, "it reads what changes")
		unnoticed(t, d.measure(t, time.Second, func() { d.configure(t, "router_id=24") }))
		moved(t, d.measure(t, 2*time.Second, func() { d.run(t, holder, "systemctl stop keepalived.service") }), handedOver)
		require.NotEqual(t, holder, d.waitHolder(t))
		d.says(t, unit, "keepalived.service is masked, no VIP can be held here: systemctl unmask keepalived.service")
		unnoticed(t, d.measure(t, time.Second, func() {
			d.updateStatus(t)
			d.configure(t, option(lab.VIP))
		}))
		d.says(t, unit, "keepalived.service is masked, no VIP can be held here")
		d.run(t, holder, "systemctl unmask keepalived.service")
		unnoticed(t, d.measure(t, time.Second, func() {
			d.updateStatus(t)
			d.readyAgain(t, unit)
		}))
		d.ready(t)
	})
	d.scenario(t, "a masked keepalived that is killed leaves no virtual IP, while no hook runs", func(t *testing.T) {
		holder := d.ready(t)
		unit := d.unitOn(t, holder)
		d.run(t, holder, "systemctl mask keepalived.service")
		d.held(t, holder)
		m := d.measure(t, 5*time.Second, func() { d.run(t, holder, "pkill -KILL -x keepalived") })
		require.Less(t, m.Shared, patience.With(3*time.Second))
		require.Len(t, lasting(m.Moves), 1)
		require.Empty(t, d.heldBy(t, holder, lab.VIP))
		require.NotEqual(t, holder, d.waitHolder(t))
		d.hold(t, holder, false)
		d.says(t, unit, "keepalived.service is masked, no VIP can be held here: systemctl unmask keepalived.service")
		d.run(t, holder, "systemctl unmask keepalived.service")
		d.updateStatus(t)
		d.readyAgain(t, unit)
		d.ready(t)
	})
}

func (d *deployment) packageRemoved(t *testing.T) {
	d.scenario(t, "a keepalived that is removed by hand hands over and is installed again", func(t *testing.T) {
		for _, how := range []string{"remove", "purge"} {
			holder := d.ready(t)
			moved(t, d.measure(t, time.Second, func() {
				d.run(t, holder, "DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes "+how+" keepalived >&2")
			}), handedOver)
			d.readyAgain(t, d.unitOn(t, holder))
			require.Equal(t, "enabled", strings.TrimSpace(d.run(t, holder, "systemctl is-enabled keepalived.service")))
			require.Equal(t, "installed", d.run(t, holder, "dpkg --audit; dpkg-query --show --showformat '${db:Status-Status}' keepalived"))
		}
	})
}

func (d *deployment) packageHeld(t *testing.T) {
	d.scenario(t, "a keepalived that apt is told not to install is named", func(t *testing.T) {
		holder := d.ready(t)
		id := d.standbys(t, holder)[0]
		unit := d.unitOn(t, id)
		d.held(t, id)
		d.run(t, id, "DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes remove keepalived >&2; apt-mark hold keepalived")
		d.hold(t, id, false)
		d.updateStatus(t)
		d.says(t, unit, "keepalived is held and cannot be installed: apt-mark unhold keepalived")
		d.run(t, id, "apt-mark unhold keepalived")
		d.updateStatus(t)
		d.readyAgain(t, unit)
		require.Equal(t, holder, d.waitHolder(t))
	})
}

// withPackages writes the charm's file with packages that a machine's own archive has, as
// docs/how-to/offline.md says.
func (d *deployment) withPackages(t *testing.T, file, id string, packages ...string) {
	t.Helper()
	m, err := d.Machine(id)
	require.NoError(t, err)
	before, err := zip.OpenReader(filepath.Join(d.Juju.Charms, "keepalived.charm"))
	require.NoError(t, err)
	defer before.Close()
	out, err := os.Create(filepath.Join(d.Juju.Charms, file))
	require.NoError(t, err)
	defer out.Close()
	archive := zip.NewWriter(out)
	for _, f := range before.File {
		require.NoError(t, archive.Copy(f))
	}
	for _, name := range packages {
		path := strings.TrimSpace(d.run(t, id, "ls /opt/apt-repo/"+name+"_*.deb"))
		text, err := m.ReadFile(d.ctx, path)
		require.NoError(t, err)
		w, err := archive.Create("packages/" + filepath.Base(path))
		require.NoError(t, err)
		_, err = w.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
}

func (d *deployment) noArchive(t *testing.T) {
	d.scenario(t, "on a machine without an archive the charm's own packages are installed, once all that is needed is there", func(t *testing.T) {
		holder := d.ready(t)
		id := d.standbys(t, holder)[0]
		unit := d.unitOn(t, id)
		d.held(t, id)
		const lacked = "libnl-genl-3-200"
		d.withPackages(t, "some.charm", id, "keepalived")
		d.withPackages(t, "all.charm", id, "keepalived", lacked)
		d.run(t, id, "DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes remove keepalived "+lacked+` >&2
rm /etc/apt/sources.list; rm -rf /var/lib/apt/lists/*_*`)
		d.hold(t, id, false)
		d.updateStatus(t)
		d.says(t, unit, "keepalived cannot be installed: ")
		d.juju(t, "refresh keepalived --path ./some.charm")
		d.settled(t)
		d.says(t, unit, "the charm's own packages cannot be installed: "+lacked+" (>= ")
		d.juju(t, "refresh keepalived --path ./all.charm")
		d.settled(t)
		d.readyAgain(t, unit)
		require.Equal(t, holder, d.waitHolder(t))
	})
}

func (d *deployment) busyApt(t *testing.T) {
	d.scenario(t, "a unit that is installed beside another apt-get waits for it and says so", func(t *testing.T) {
		id := d.newMachine(t)
		// apt has the lock of its lists while it runs this.
		d.run(t, id, `touch /run/busy
systemd-run --quiet apt-get -o APT::Update::Pre-Invoke::='touch /run/locked; for n in $(seq 3000); do [ -e /run/busy ] || exit 0; sleep 0.1; done' update
for n in $(seq 300); do [ -e /run/locked ] && exit 0; sleep 0.1; done
exit 1`)
		require.NoError(t, d.AddUnit("haproxy", id))
		ctx, cancel := context.WithTimeout(d.ctx, patience.With(2*time.Minute))
		defer cancel()
		require.NoError(t, d.WaitUnits(ctx, "the new unit to say what it waits for", func(units map[string]lab.Unit) bool {
			return slices.ContainsFunc(slices.Collect(maps.Values(units)), func(u lab.Unit) bool {
				return u.Machine == id && strings.HasPrefix(u.Workload.Message, "installing keepalived, waits for apt-get (pid ")
			})
		}))
		d.run(t, id, "rm /run/busy")
		d.readyAgain(t, d.unitOn(t, id))
	})
}
