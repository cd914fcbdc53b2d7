package scenario_test

import (
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

// own are the keys that Juju itself writes into a unit's databag.
func own(u lab.Unit) map[string]string {
	return map[string]string{
		"ingress-address": u.Address, "private-address": u.Address, "egress-subnets": u.Address + "/32",
	}
}

// publishLimit is how long Juju's own address may stand in the place of the virtual IP
// after config-changed: until a run that the notifier asks for, and it paces them.
const publishLimit = 15 * time.Second

// publishes requires of every unit exactly Juju's own keys and these in a relation.
func (d *deployment) publishes(t *testing.T, ours, theirs string, keys map[string]string) {
	t.Helper()
	wants := map[string]map[string]string{}
	for _, unit := range d.units() {
		wants[unit] = own(d.Units()[unit])
		maps.Copy(wants[unit], keys)
	}
	for end := time.Now().Add(patience.With(publishLimit)); ; time.Sleep(50 * time.Millisecond) {
		bags, err := d.Databags("keepalived", ours, theirs)
		require.NoError(t, err)
		require.Len(t, bags, len(d.units()))
		if reflect.DeepEqual(wants, bags) {
			return
		}
		if time.Now().After(end) {
			require.Equal(t, wants, bags, "databags on %s", ours)
		}
	}
}

const (
	website, worker           = "keepalived:website", "kubernetes-worker:kube-api-endpoint"
	loadBalancer, controlNode = "keepalived:loadbalancer", "kubernetes-control-plane:loadbalancer"
	cluster                   = "keepalived:cluster"
)

// consume relates a stand-in for a consumer of the VIP.
func (d *deployment) consume(t *testing.T, charm, ours, theirs string) {
	t.Helper()
	require.NoError(t, d.Consumer(charm))
	require.NoError(t, d.Integrate(ours, theirs))
	d.settled(t)
}

func TestFromDeployToSurvivingADeadMachine(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	read := d.tutorial(t)
	d.scenario(t, "what the tutorial deploys comes up", func(t *testing.T) { read.section(t, "Deploy it") })
	d.scenario(t, "without a virtual IP every unit is blocked and names the option", func(t *testing.T) {
		d.allSay(t, "blocked", "Please configure virtual ips")
		for _, unit := range d.units() {
			require.Contains(t, d.workload(t, unit).Message, "virtual_ip")
		}
	})
	d.scenario(t, "without a virtual IP related applications are told nothing", func(t *testing.T) {
		d.consume(t, "kubernetes-worker", website, worker)
		d.publishes(t, website, worker, nil)
	})
	d.scenario(t, "with a virtual IP one unit holds it and answers there, and every status says so", func(t *testing.T) {
		read.section(t, "Give it a virtual IP")
		d.juju(t, "config keepalived --reset port")
		d.settled(t)
		d.allSay(t, "active", "VIP ready")
		holder := d.ready(t)
		name, err := d.Fetch(d.ctx, lab.VIP)
		require.NoError(t, err)
		require.Equal(t, "juju-"+holder, name)
		d.updateStatus(t)
		d.truthful(t, holder)
		require.Regexp(t, `(?m)^keepalived +2\.[0-9.]+ +active +3 +keepalived `, d.Status(), "version, status and scale")
	})
	d.scenario(t, "website and loadbalancer publish what the Python charm publishes", func(t *testing.T) {
		d.publishes(t, website, worker, map[string]string{
			"hostname": "10.10.74.250", "private-address": "10.10.74.250", "port": "443"})
		d.configure(t, "vip_hostname=api.example.com")
		d.updateStatus(t)
		d.publishes(t, website, worker, map[string]string{
			"hostname": "api.example.com", "private-address": "10.10.74.250", "port": "443"})
		d.consume(t, "kubernetes-control-plane", loadBalancer, controlNode)
		d.publishes(t, loadBalancer, controlNode, map[string]string{"public-address": "10.10.74.250", "port": "443"})
	})
	var dead string
	d.scenario(t, "when the holder's machine dies another takes over", func(t *testing.T) {
		dead = d.ready(t)
		moved(t, d.measure(t, 2*time.Second, func() { read.section(t, "A machine dies") }), machineDies)
		require.NotEqual(t, dead, d.waitHolder(t))
	})
	d.scenario(t, "the machine that comes back does not take the virtual IP", func(t *testing.T) {
		require.NotEmpty(t, dead)
		unnoticed(t, d.measure(t, 2*time.Second, func() { read.section(t, "It comes back") }))
		holder := d.ready(t)
		require.NotEqual(t, dead, holder)
		d.updateStatus(t)
		d.truthful(t, holder)
	})
	d.scenario(t, "a unit that is told to hands over", func(t *testing.T) {
		read.section(t, "Hand over on purpose")
	})
	d.actions(t)
	d.scenario(t, "when the leadership moves the virtual IP does not", func(t *testing.T) {
		holder := d.ready(t)
		before := d.pictures(t)
		for _, unit := range []string{d.unitOn(t, d.standbys(t, holder)[0]), d.unitOn(t, holder)} {
			unnoticed(t, d.measure(t, time.Second, func() {
				require.NoError(t, d.SetLeader(d.ctx, unit))
				d.settled(t)
			}))
			leader, err := d.Leader(d.ctx, "keepalived")
			require.NoError(t, err)
			require.Equal(t, unit, leader)
		}
		require.Equal(t, before, d.pictures(t))
	})
}

// heal switches a machine on again and waits for its unit's start hook.
func (d *deployment) heal(t *testing.T, id string) {
	t.Helper()
	since := time.Now()
	require.NoError(t, d.Heal(d.ctx, id))
	d.started(t, d.unitOn(t, id), since)
}

// started waits for a unit's start hook.
func (d *deployment) started(t *testing.T, unit string, since time.Time) {
	t.Helper()
	err := d.WaitEvent(d.ctx, since, func(e lab.Event) bool {
		return e.Unit == unit && e.Kind == lab.End && e.Name == "start"
	})
	require.NoError(t, err)
	d.settled(t)
}

func (d *deployment) actions(t *testing.T) {
	d.scenario(t, "action status tells the role, priority and check of each unit", func(t *testing.T) {
		holder := d.ready(t)
		priorities := map[string]bool{}
		for _, unit := range d.units() {
			r, err := d.RunAction(d.ctx, unit, "status", nil)
			require.NoError(t, err)
			require.Equal(t, "completed", r.Status, r.Message)
			role := "standby"
			if d.machineOf(t, unit) == holder {
				role = "holder"
			}
			require.Equal(t, role, r.Results["vip-1-role"], unit)
			require.Equal(t, "running", r.Results["keepalived"], unit)
			require.Equal(t, "running", r.Results["health-checker"], unit)
			require.Equal(t, "passes", r.Results["check"], unit)
			require.Equal(t, "none", r.Results["pending-follow-up"], unit)
			d.settled(t)
			require.Equal(t, d.workload(t, unit).Message, r.Results["summary"], unit)
			priorities[r.Results["vip-1-priority"].(string)] = true
		}
		require.Len(t, priorities, len(d.units()), "priorities are distinct")
	})
	d.scenario(t, "what the charm runs is confined", func(t *testing.T) {
		for service, most := range map[string]float64{checkerService: 5, "keepalived-notifier-keepalived.service": 6, "keepalived-yield-keepalived.service": 6} {
			said := d.run(t, d.waitHolder(t), "systemd-analyze security --no-pager "+service+" | tail -n 1")
			t.Log(strings.TrimSpace(said))
			score := regexp.MustCompile(`: ([0-9.]+) `).FindStringSubmatch(said)
			require.NotNil(t, score, said)
			exposure, err := strconv.ParseFloat(score[1], 64)
			require.NoError(t, err)
			require.LessOrEqual(t, exposure, most, said)
		}
	})
	d.scenario(t, "the health checker has a user of its own, and nobody else but root can do anything to it", func(t *testing.T) {
		require.Equal(t, "keepalived-charm\n", d.run(t, d.waitHolder(t), `pid=$(systemctl show --value --property=MainPID `+checkerService+`)
			ps -o user:32= $pid
			for signal in 0 USR1 TERM STOP KILL; do
				! setpriv --reuid nobody --regid nogroup --clear-groups sh -c "kill -$signal $pid" 2>/dev/null
			done`))
	})
	d.scenario(t, "action get-configuration shows the files that keepalived reads", func(t *testing.T) {
		for _, unit := range d.units() {
			r, err := d.RunAction(d.ctx, unit, "get-configuration", nil)
			require.NoError(t, err)
			require.Equal(t, "completed", r.Status, r.Message)
			id := d.machineOf(t, unit)
			require.Equal(t, d.run(t, id, "cat /etc/keepalived/keepalived.conf"), r.Results["keepalived-conf"])
			require.Equal(t, d.run(t, id, "cat /etc/keepalived/charm.d/keepalived.conf"), r.Results["fragment"])
			require.Equal(t, d.run(t, id, "cat /var/lib/keepalived-charm/keepalived/checker.json"), r.Results["checker"])
		}
	})
	d.scenario(t, "an action that the charm does not have is refused", func(t *testing.T) {
		d.refuses(t, d.units()[0], "explode", nil, `action "explode" not defined`)
	})
}
