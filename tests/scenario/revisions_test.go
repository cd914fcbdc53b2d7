package scenario_test

import (
	"cmp"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// TestRevisions refreshes units that serve to a revision of the charm whose words and
// records this one cannot read, and back.
func TestRevisions(t *testing.T) {
	t.Parallel()
	// With unicast units must go on to send their advertisements to those whose words they
	// cannot read.
	for _, mode := range some(t, 1, "multicast", "unicast") {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			revisions(t, mode)
		})
	}
}

// TestRevisionBefore refreshes units that serve from the commit before this one, or the one
// that LAB_BEFORE names, to this one and back: what a user's machines have is understood.
func TestRevisionBefore(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	named := os.Getenv("LAB_BEFORE")
	before, commit, err := d.Before(d.ctx, cmp.Or(named, "HEAD~1"))
	if named == "" && errors.Is(err, lab.ErrNoCommit) {
		// A clone of depth 1 or an archive of the sources can build no other revision, and the
		// neighbour of TestRevisions stands for it.
		t.Skip("a checkout without history has no commit before this one: ", err)
	}
	require.NoError(t, err)
	t.Logf("the revision before is commit %s", commit)
	holder := d.ready(t)
	standbys := d.standbys(t, holder)
	order := []string{d.unitOn(t, standbys[0]), d.unitOn(t, holder), d.unitOn(t, standbys[1])}
	for _, step := range []struct {
		name, id, charm string
	}{
		{"back, and a change meanwhile: clients notice nothing", "51", before},
		{"up again, and another change: clients notice nothing", "52", d.Charm()},
	} {
		d.scenario(t, step.name, func(t *testing.T) {
			unnoticed(t, d.measure(t, 3*time.Second, func() {
				d.unitByUnit(t, step.charm, order, func(followed int) {
					if followed == 2 {
						d.configure(t, "router_id="+step.id)
						d.updateStatus(t)
					}
				})
			}))
			d.ready(t)
			d.updateStatus(t)
			d.truthful(t, holder)
			for _, unit := range order {
				d.runs(t, unit, "multicast", step.id)
			}
		})
	}
}

// unitByUnit refreshes to a charm, one unit after the other. All run hooks all the time,
// with the charm that they have so far. between is called after each with how many have
// followed.
func (d *deployment) unitByUnit(t *testing.T, charm string, order []string, between func(followed int)) {
	t.Helper()
	for _, unit := range order {
		require.NoError(t, d.HoldAgent(d.ctx, unit, true))
	}
	require.NoError(t, d.RefreshTo(charm))
	for n, unit := range order {
		since := time.Now()
		require.NoError(t, d.HoldAgent(d.ctx, unit, false))
		d.followed(t, unit, since)
		d.settled(t)
		between(n + 1)
	}
}

// runs requires what a unit runs.
func (d *deployment) runs(t *testing.T, unit, mode, id string) {
	t.Helper()
	require.Contains(t, d.parameters(t, d.machineOf(t, unit)), "mode="+mode+" vrid="+id+" ", unit)
}

func revisions(t *testing.T, mode string) {
	options := serving()
	options["vrrp_mode"] = mode
	d := deploy(t, options)
	next, err := d.Neighbour(d.ctx)
	require.NoError(t, err)
	holder := d.ready(t)
	standbys := d.standbys(t, holder)
	order := []string{d.unitOn(t, standbys[0]), d.unitOn(t, holder), d.unitOn(t, standbys[1])}
	const later = "a later revision of the charm left this unit's record: juju refresh keepalived --path ./keepalived.charm"

	d.scenario(t, "up: clients notice nothing; a change of what all share waits for units that speak otherwise, and says so", func(t *testing.T) {
		unnoticed(t, d.measure(t, 3*time.Second, func() {
			d.unitByUnit(t, next, order, func(followed int) {
				learned := order[:followed] // options are kept by the charm that they are for
				switch followed {
				case 1: // of the standbys
					d.configure(t, "router_id=51")
					d.updateStatus(t)
					for _, unit := range order {
						d.runs(t, unit, mode, "23")
						require.Contains(t, d.workload(t, unit).Message, "VIP ready: ", unit)
					}
				case 2: // the holder
					d.updateStatus(t)
					d.runs(t, order[2], mode, "23")
					require.Contains(t, d.workload(t, order[1]).Message, ", waiting for ", "the holder")
				case 3:
					return
				}
				for _, unit := range learned {
					require.Contains(t, d.workload(t, unit).Message, "; moving to virtual router ID 51", unit)
				}
			})
		}))
		d.ready(t)
		d.updateStatus(t)
		d.truthful(t, holder)
		for _, unit := range order {
			d.runs(t, unit, mode, "51")
			for file, version := range map[string]string{"record.json": `"version": 2,`, "checker.json": `"version": 3,`} {
				require.Contains(t, d.run(t, d.machineOf(t, unit), "cat /var/lib/keepalived-charm/keepalived/"+file), version)
			}
			require.Contains(t, d.run(t, d.machineOf(t, unit), "cat /etc/keepalived/keepalived.conf"), "\n# Format 3\n")
		}
		bags, err := d.Databags("keepalived", "keepalived:cluster", "keepalived:cluster")
		require.NoError(t, err)
		for unit, bag := range bags {
			require.Equal(t, "2", bag["protocol"], unit)
			require.Contains(t, bag["vrrp"], " colour=red", unit)
		}
	})
	d.scenario(t, "down: each unit leaves all as it is and says what to type; clients notice nothing", func(t *testing.T) {
		before := d.pictures(t)
		unnoticed(t, d.measure(t, 3*time.Second, func() {
			d.unitByUnit(t, d.Charm(), order, func(followed int) {
				for n, unit := range order {
					if n < followed {
						d.saysExactly(t, unit, "blocked: "+later)
					} else {
						require.Contains(t, d.workload(t, unit).Message, "VIP ready: ", unit)
					}
				}
			})
			d.configure(t, "router_id=23")
			d.updateStatus(t)
		}))
		d.allSay(t, "blocked", later)
		require.Equal(t, before, d.pictures(t))
	})
	d.scenario(t, "the virtual IP moves as ever meanwhile", func(t *testing.T) {
		moved(t, d.measure(t, 2*time.Second, func() { d.services(t, "stop", holder) }), serviceDies)
		d.services(t, "start", holder)
		d.settled(t)
		holder = d.waitHolder(t)
	})
	d.scenario(t, "up again: all is well again, and clients notice nothing", func(t *testing.T) {
		unnoticed(t, d.measure(t, 3*time.Second, func() {
			d.unitByUnit(t, next, order, func(int) {})
		}))
		d.ready(t)
		d.updateStatus(t)
		d.truthful(t, holder)
		for _, unit := range order {
			d.runs(t, unit, mode, "23")
		}
	})
}
