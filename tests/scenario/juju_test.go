package scenario_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// juju types a command, such as "config keepalived port", which must work, and returns what
// an operator reads.
func (d *deployment) juju(t *testing.T, line string) string {
	t.Helper()
	out, err := d.Juju.Type(d.ctx, line)
	t.Logf("$ juju %s\n%s", line, out)
	if err != nil {
		d.explain(t)
	}
	require.NoError(t, err)
	return out
}

// jujuJSON types a command with --format json.
func (d *deployment) jujuJSON(t *testing.T, line string, into any) {
	t.Helper()
	out, err := d.Juju.Run(d.ctx, append(strings.Fields(line), "--format", "json")...)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(out), into), "juju %s: %s", line, out)
}

// heard is what one unit knows of the units of keepalived, which is what those publish:
// their databags in each relation, by the endpoint of the unit that asks.
func (d *deployment) heard(t *testing.T, unit string) map[string]map[string]map[string]string {
	t.Helper()
	var units map[string]struct {
		Relations []struct {
			Endpoint string
			Units    map[string]struct{ Data map[string]string } `json:"related-units"`
		} `json:"relation-info"`
	}
	d.jujuJSON(t, "show-unit "+unit, &units)
	bags := map[string]map[string]map[string]string{}
	for _, r := range units[unit].Relations {
		for name, u := range r.Units {
			if !strings.HasPrefix(name, "keepalived/") {
				continue
			}
			if bags[r.Endpoint] == nil {
				bags[r.Endpoint] = map[string]map[string]string{}
			}
			bags[r.Endpoint][name] = u.Data
		}
	}
	return bags
}

// tells requires that each unit of keepalived comes to tell a unit certain things.
func (d *deployment) tells(t *testing.T, unit, endpoint string, want map[string]string) {
	t.Helper()
	var bags map[string]map[string]string
	defer func() { t.Logf("%s:%s hears %v", unit, endpoint, bags) }()
	poll.Until(t, func() bool {
		bags = d.heard(t, unit)[endpoint]
		for _, bag := range bags {
			for key, value := range want {
				if bag[key] != value {
					return false
				}
			}
		}
		return len(bags) == len(d.units())
	}, publishLimit, 500*time.Millisecond, "%s hears %v of each unit", unit, want)
}

// hooksOf are the hooks that a unit has run, from its agent's log.
func (d *deployment) hooksOf(t *testing.T, id, unit string) []string {
	t.Helper()
	return strings.Fields(d.run(t, id, `sed -n 's/.* ran "\([a-z-]*\)" hook .*/\1/p' /var/log/juju/unit-`+strings.ReplaceAll(unit, "/", "-")+".log"))
}

func TestTheOperatorsVeryCommands(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.juju(t, "deploy ./haproxy -n 3 --base ubuntu@22.04")
	d.settled(t)
	before := map[string][]string{}
	for _, id := range []string{"0", "1", "2"} {
		before[id] = d.content(t, id)
	}
	d.juju(t, "deploy ./keepalived.charm")
	d.juju(t, "integrate haproxy keepalived:juju-info")
	d.juju(t, "config keepalived virtual_ip="+lab.VIP.String()+" vip_hostname=api.example.com")

	d.scenario(t, "one unit holds the virtual IP, and juju status says which", func(t *testing.T) {
		holder := d.ready(t)
		require.Len(t, d.holders(lab.VIP), 1)
		d.truthful(t, holder)
		d.juju(t, "status --relations")
		s, err := d.Juju.Status(d.ctx)
		require.NoError(t, err)
		said := map[string]string{}
		for _, principal := range s.Applications["haproxy"].Units {
			for _, u := range principal.Subordinates {
				require.Equal(t, "active", u.Workload.Current)
				require.Equal(t, "idle", u.Agent.Current)
				said[principal.Machine] = u.Workload.Message
			}
		}
		want := map[string]string{}
		for _, id := range []string{"0", "1", "2"} {
			want[id] = d.role(t, id)
		}
		require.Equal(t, want, said)
	})
	d.scenario(t, "what is deployed without a base runs beside principals on 22.04", func(t *testing.T) {
		s, err := d.Juju.Status(d.ctx)
		require.NoError(t, err)
		assert.Equal(t, "22.04", strings.TrimSuffix(s.Applications["haproxy"].Base.Channel, "/stable"))
		assert.Equal(t, "24.04", strings.TrimSuffix(s.Applications["keepalived"].Base.Channel, "/stable"))
		assert.Equal(t, []string{"haproxy"}, s.Applications["keepalived"].Principals)
	})
	d.jujuRelations(t)
	d.jujuActions(t)
	// Before any agent began anew: then Juju ends the peer relation before stop.
	leaver := d.standbys(t, d.waitHolder(t))[0]
	d.brokenAfterStop(t, leaver)
	d.scenario(t, "remove-unit leaves nothing on the machine", func(t *testing.T) {
		d.asBefore(t, leaver, before[leaver])
	})
	d.scenario(t, "when the holder's machine dies another takes over, and it comes back as a standby", func(t *testing.T) {
		holder := d.ready(t)
		moved(t, d.measure(t, time.Second, func() { require.NoError(t, d.Kill(d.ctx, holder)) }), machineDies)
		successor := d.waitHolder(t)
		require.NotEqual(t, holder, successor)
		d.saysExactly(t, d.unitOn(t, successor), "active: VIP ready: holds "+lab.VIP.String())
		require.NoError(t, d.Heal(d.ctx, holder))
		require.Equal(t, successor, d.ready(t))
		d.truthful(t, successor)
	})
	d.scenario(t, "an agent that has lost its controller goes on when it is back", func(t *testing.T) {
		require.NoError(t, d.Juju.SetAway(d.ctx, true))
		d.juju(t, "config keepalived port=8443")
		require.NoError(t, d.Juju.SetAway(d.ctx, false))
		d.settled(t)
		d.tells(t, "kubernetes-worker/0", "kube-api-endpoint", map[string]string{"port": "8443"})
		d.juju(t, "config keepalived --reset port")
		d.ready(t)
	})
	d.callsRefused(t)
	d.scenario(t, "remove-application leaves nothing on any machine", func(t *testing.T) {
		ids := []string{}
		for _, unit := range d.units() {
			ids = append(ids, d.machineOf(t, unit))
		}
		d.juju(t, "remove-application keepalived --no-prompt")
		d.settled(t)
		require.Empty(t, d.units())
		for _, id := range ids {
			// The machine that lost its power has booted since.
			d.asBefore(t, id, before[id], ids...)
		}
	})
}

// jujuRelations types what docs/reference/endpoints.md relates.
func (d *deployment) jujuRelations(t *testing.T) {
	t.Helper()
	d.scenario(t, "what relates to the virtual IP is told of it", func(t *testing.T) {
		for n, charm := range []string{"kubernetes-worker", "kubernetes-control-plane", "kubeapi-load-balancer"} {
			d.juju(t, fmt.Sprintf("deploy ./%s --base ubuntu@22.04 --to %d", charm, n))
		}
		d.juju(t, "integrate keepalived:website kubernetes-worker:kube-api-endpoint")
		d.juju(t, "integrate keepalived:loadbalancer kubernetes-control-plane:loadbalancer")
		d.juju(t, "integrate keepalived:lb-sink kubeapi-load-balancer:website")
		d.settled(t)
		d.tells(t, "kubernetes-worker/0", "kube-api-endpoint", map[string]string{"hostname": "api.example.com", "port": "443"})
		d.tells(t, "kubernetes-control-plane/0", "loadbalancer", map[string]string{"public-address": lab.VIP.String(), "port": "443"})
		require.Len(t, d.heard(t, "kubeapi-load-balancer/0")["website"], 3)
	})
}

// jujuActions types juju run.
func (d *deployment) jujuActions(t *testing.T) {
	t.Helper()
	d.scenario(t, "juju run shows what the unit knows", func(t *testing.T) {
		holder := d.waitHolder(t)
		for _, unit := range d.units() {
			var tasks map[string]struct {
				Status  string
				Results map[string]any
			}
			d.jujuJSON(t, "run "+unit+" status", &tasks)
			require.Equal(t, "completed", tasks[unit].Status)
			summary := fmt.Sprint(tasks[unit].Results["summary"])
			if d.machineOf(t, unit) == holder {
				require.Contains(t, summary, "holds "+lab.VIP.String())
			} else {
				require.Contains(t, summary, "standby for "+lab.VIP.String())
			}
		}
	})
	d.scenario(t, "Juju refuses what actions.yaml does not allow, before the unit hears of it", func(t *testing.T) {
		unit := d.units()[0]
		for command, says := range map[string]string{
			"history limit=0":   `validation failed: (root).limit : must be greater than 1, given "0"`,
			"status loud=true":  `validation failed: (root) : additional property "loud" is not allowed, given {"loud":true}`,
			"pause force=maybe": `validation failed: (root).force : must be of type boolean, given "maybe"`,
			"explode":           fmt.Sprintf("action %q not defined on unit %q", "explode", unit),
		} {
			require.Contains(t, d.juju(t, "run "+unit+" "+command), says)
		}
	})
}

// callsRefused has single calls of the holder's agent fail in a hook that changes what clients
// are told.
func (d *deployment) callsRefused(t *testing.T) {
	t.Helper()
	for n, call := range []string{"Uniter.NetworkInfo", "Uniter.CommitHookChanges"} {
		d.scenario(t, "a hook in which the controller refuses "+call+" is run again, and clients notice nothing", func(t *testing.T) {
			holder := d.ready(t)
			unit := d.unitOn(t, holder)
			hostname := fmt.Sprintf("refused-%d.example.com", n)
			unnoticed(t, d.measure(t, time.Second, func() {
				require.NoError(t, d.Refuse(d.ctx, unit, call))
				d.juju(t, "config keepalived vip_hostname="+hostname)
				d.tells(t, "kubernetes-worker/0", "kube-api-endpoint", map[string]string{"hostname": hostname})
			}))
			left, err := d.Refused(d.ctx, unit)
			require.NoError(t, err)
			require.Empty(t, left, "the call was refused")
			require.Equal(t, holder, d.ready(t))
			d.truthful(t, holder)
		})
	}
}

// lockScript takes a machine's lock as soon as a unit's agent ($1) has ended a hook ($2) the
// $3rd time, and keeps it. In between it gives way to the agent, which needs the lock for
// each hook.
const lockScript = `exec 9>>/tmp/juju-machine-lock
while flock 9; do
	if [ "$(grep -c "ran \"$2\" hook" "/var/log/juju/unit-$1.log")" -ge "$3" ]; then
		touch "/run/juju/locked-$2"
		exec sleep infinity
	fi
	flock -u 9
	sleep 0.01
done
`

// lockAfter has no hook run on a machine any more once a unit has run one the count-th time,
// until systemd's unit lock-HOOK is stopped.
func (d *deployment) lockAfter(t *testing.T, id, unit, hook string, count int) {
	t.Helper()
	m, err := d.Machine(id)
	require.NoError(t, err)
	require.NoError(t, m.WriteFile(d.ctx, "/run/juju/lock", []byte(lockScript), 0o644))
	d.run(t, id, fmt.Sprintf("systemd-run --quiet --unit=lock-%[1]s sh /run/juju/lock %[2]s %[1]s %[3]d",
		hook, strings.ReplaceAll(unit, "/", "-"), count))
}

// locked waits until the lock is taken.
func (d *deployment) locked(t *testing.T, id, hook string) {
	t.Helper()
	poll.Until(t, func() bool {
		r, err := d.Exec(d.ctx, id, "test -e /run/juju/locked-"+hook)
		require.NoError(t, err)
		return r.Code == 0
	}, time.Minute, 200*time.Millisecond, "%s has run on machine %s, and nothing since", hook, id)
}

// brokenAfterStop removes a unit whose agent begins anew after stop, and then runs the end of
// its peer relation before remove, as Juju lets it.
func (d *deployment) brokenAfterStop(t *testing.T, id string) {
	t.Helper()
	d.scenario(t, "a unit that has run stop serves nothing and writes nothing, though its peer relation ends after that", func(t *testing.T) {
		const stop, broken = "stop", "cluster-relation-broken"
		unit := d.unitOn(t, id)
		principal, ok := d.UnitOn("haproxy", id)
		require.True(t, ok)
		d.lockAfter(t, id, unit, stop, 1)
		d.juju(t, "remove-unit "+principal+" --no-prompt")
		d.locked(t, id, stop)
		hooks := d.hooksOf(t, id, unit)
		require.Equal(t, stop, hooks[len(hooks)-1], "%v", hooks)
		require.NotContains(t, hooks, broken)
		stopped := d.content(t, id)
		require.Contains(t, stopped, "inactive", "keepalived does not run")

		d.run(t, id, "systemctl restart jujud-machine-"+id)
		poll.Until(t, func() bool {
			u, known := d.Units()[unit]
			return known && u.Agent.Current != "lost"
		}, time.Minute, 200*time.Millisecond, "the agent of %s is back", unit)
		d.lockAfter(t, id, unit, broken, 1)
		d.run(t, id, "systemctl stop lock-"+stop)
		d.locked(t, id, broken)
		require.Equal(t, stopped, d.content(t, id))
		require.NotContains(t, d.holders(lab.VIP), "juju-"+id)

		d.run(t, id, "systemctl stop lock-"+broken)
		poll.Until(t, func() bool { return !slices.Contains(d.units(), unit) }, time.Minute, time.Second, "%s is removed", unit)
		hooks = d.hooksOf(t, id, unit)
		t.Logf("%s ran %v", unit, hooks)
		require.Equal(t, []string{stop, broken, "remove"}, hooks[len(hooks)-3:])
	})
}
