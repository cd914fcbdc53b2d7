package scenario_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// request is what the library of a principal's charm wrote, without what Juju itself writes, with
// an IPv6 address of the lab.
func request(t *testing.T, recorded string) string {
	t.Helper()
	text, err := os.ReadFile("../../internal/hacluster/testdata/" + recorded + ".json")
	require.NoError(t, err)
	var r struct {
		Bag map[string]string `json:"unit_databag"`
	}
	require.NoError(t, json.Unmarshal(text, &r))
	for _, key := range []string{"egress-subnets", "ingress-address", "private-address"} {
		delete(r.Bag, key)
	}
	bag, err := json.Marshal(r.Bag)
	require.NoError(t, err)
	return strings.ReplaceAll(string(bag), "2001:db8::250", vip6.String())
}

// asks has the units of haproxy write what was recorded, each in a hook of its own.
func (d *deployment) asks(t *testing.T, recorded string) {
	t.Helper()
	require.NoError(t, d.SetConfig("haproxy", map[string]string{"request": request(t, recorded)}))
	d.settled(t)
}

// asksFor does so, and goes on when the health checker of each unit is told of a target.
func (d *deployment) asksFor(t *testing.T, recorded, target string) {
	t.Helper()
	require.NoError(t, d.SetConfig("haproxy", map[string]string{"request": request(t, recorded)}))
	for _, unit := range d.units() {
		poll.Until(t, func() bool {
			r, err := d.Exec(d.ctx, unit, "cat /var/lib/keepalived-charm/keepalived/checker.json")
			require.NoError(t, err)
			return strings.Contains(r.Stdout, target)
		}, 30*time.Second, 50*time.Millisecond, "%s checks %s", unit, target)
	}
}

// clustered is what the units tell their principals.
func (d *deployment) clustered(t *testing.T) []string {
	t.Helper()
	bags, err := d.Databags("keepalived", "haproxy:ha", "keepalived:ha")
	require.NoError(t, err)
	var all []string
	for _, bag := range bags {
		all = append(all, bag["clustered"])
	}
	return all
}

// haproxyLeads runs hook tools as the unit that leads haproxy.
func (d *deployment) haproxyLeads(t *testing.T, script string) string {
	t.Helper()
	leader, err := d.Leader(d.ctx, "haproxy")
	require.NoError(t, err)
	out, err := d.Juju.Run(d.ctx, "exec", "--unit", leader, "--", script)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

// consumes writes what haproxy writes as an application that asks for a load balancer.
func (d *deployment) consumes(t *testing.T, bag string) {
	t.Helper()
	d.haproxyLeads(t, "printf '%s' '"+bag+"' | relation-set --app -r $(relation-ids lb) --file -")
	d.settled(t)
}

// answer is what haproxy is told under a key.
func (d *deployment) answer(t *testing.T, key string) string {
	t.Helper()
	return d.haproxyLeads(t, "relation-get --app -r $(relation-ids lb) "+key+" keepalived")
}

// granted is the answer to a request whose hash is abc.
func granted(address string) string {
	return `{"address": "` + address + `", "error": null, "error_fields": {}, "error_message": null, "received_hash": "abc"}`
}

// only requires that addresses are on one machine, which holds lab.VIP, or on none.
func (d *deployment) only(t *testing.T, holder string, addresses ...string) {
	t.Helper()
	for n := range 3 {
		address := netip.AddrFrom4([4]byte{10, 10, 74, byte(250 + n)})
		var want []string
		if strings.Contains(strings.Join(addresses, " "), address.String()) {
			want = []string{"juju-" + holder}
		}
		require.Equal(t, want, d.holders(address), address)
	}
}

// TestHA: haproxy asks for its virtual IPs itself, by what the library of its charm writes, with
// two machines.
func TestHA(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 2, nil))
	require.NoError(t, d.Deploy(d.ctx, "keepalived", "keepalived", 0, nil))
	d.scenario(t, "related to haproxy:ha alone each unit waits for what its principal asks for", func(t *testing.T) {
		require.NoError(t, d.Integrate("haproxy:ha", "keepalived:ha"))
		d.settled(t)
		require.Len(t, d.units(), 2)
		d.allSay(t, "waiting", "waits for haproxy/")
		require.Equal(t, []string{"", ""}, d.clustered(t))
	})
	d.scenario(t, "then one holds, and both tell that it is so", func(t *testing.T) {
		d.asks(t, "haproxy-01-first")
		holder := d.ready(t)
		d.truthful(t, holder)
		require.Equal(t, []string{"yes", "yes"}, d.clustered(t))
	})
	d.scenario(t, "the next hooks, which group it, change nothing", func(t *testing.T) {
		before := d.pictures(t)
		unnoticed(t, d.measure(t, time.Second, func() { d.asks(t, "haproxy-02-second") }))
		require.Equal(t, before, d.pictures(t))
	})
	d.scenario(t, "who asks for a load balancer on the machines of the virtual IP is answered", func(t *testing.T) {
		require.NoError(t, d.Integrate("haproxy:lb", "keepalived:lb-consumers"))
		d.settled(t)
		require.Equal(t, "1", d.answer(t, "version"))
		d.consumes(t, `{"version": "1", "request_api": "{\"id\": \"1\", \"name\": \"api\", \"protocol\": \"tcp\", \"port_mapping\": {\"443\": 443}, \"sent_hash\": \"abc\"}"}`)
		require.JSONEq(t, granted("10.10.74.250"), d.answer(t, "response_api"))
		d.consumes(t, `{"request_garbled": "{\"port_mapping\": {\"443\": \"443\"}"}`)
		require.Empty(t, d.answer(t, "response_garbled"))
		d.ready(t)
	})
	d.scenario(t, "the virtual IP leaves a unit whose service that was asked for has stopped", func(t *testing.T) {
		holder := d.ready(t)
		moved(t, d.measure(t, 2*time.Second, func() { d.run(t, holder, "systemctl stop haproxy") }), serviceDies)
		s := d.shows(t, d.unitOn(t, holder), func(s lab.Said) bool { return strings.Contains(s.Message, "check fails here") })
		require.Contains(t, s.Message, "haproxy.service is inactive")
		d.run(t, holder, "systemctl start haproxy")
		d.ready(t)
	})
	d.scenario(t, "another address takes its place, and goes for it again", func(t *testing.T) {
		d.asks(t, "haproxy-04-vip-changed")
		holder, err := d.WaitHolder(d.ctx, netip.MustParseAddr("10.10.74.251"))
		require.NoError(t, err)
		d.only(t, holder, "10.10.74.251")
		require.Equal(t, []string{"yes", "yes"}, d.clustered(t))
		require.JSONEq(t, granted("10.10.74.251"), d.answer(t, "response_api"))
		d.asks(t, "haproxy-02-second")
		d.only(t, d.ready(t), "10.10.74.250")
		require.JSONEq(t, granted("10.10.74.250"), d.answer(t, "response_api"))
		d.consumes(t, `{"request_api": ""}`)
		require.Empty(t, d.answer(t, "response_api"))
		require.NoError(t, d.RemoveRelation("haproxy:lb", "keepalived:lb-consumers"))
		d.settled(t)
	})
	d.scenario(t, "one that the library cannot take back stays beside the next", func(t *testing.T) {
		unnoticed(t, d.measure(t, time.Second, func() { d.asks(t, "haproxy-08-vip-third") }))
		holder := d.ready(t)
		d.only(t, holder, "10.10.74.250", "10.10.74.252")
		d.saysExactly(t, d.unitOn(t, holder), "active: VIP ready: holds 10.10.74.252, 10.10.74.250")
	})
	d.scenario(t, "what kubeapi-load-balancer writes over the life of a relation moves nothing that stays, and ends what does not", func(t *testing.T) {
		for _, unit := range d.units() {
			d.run(t, d.machineOf(t, unit), "ln -s /lib/systemd/system/haproxy.service /run/systemd/system/nginx.service && systemctl daemon-reload")
		}
		holder := d.ready(t)
		unnoticed(t, d.measure(t, time.Second, func() {
			d.asksFor(t, "klb-10-fresh-first", `"localhost:443"`)
			d.asksFor(t, "klb-11-fresh-second", `"nginx.service"`)
			d.only(t, holder, "10.10.74.250")
			d.asks(t, "klb-20-dual-stack")
			require.Equal(t, []string{"juju-" + holder}, d.holders(vip6))
			require.Equal(t, []string{"yes", "yes"}, d.clustered(t))
			d.saysExactly(t, d.unitOn(t, holder), "active: VIP ready: holds 10.10.74.250, "+vip6.String())
		}))
		d.asks(t, "klb-17-all-removed")
		d.only(t, holder)
		require.Empty(t, d.holders(vip6))
		d.allSay(t, "waiting", "haproxy/")
		require.Equal(t, []string{"", ""}, d.clustered(t))
		d.asks(t, "haproxy-08-vip-third")
		d.only(t, d.ready(t), "10.10.74.250", "10.10.74.252")
	})
	d.scenario(t, "to juju-info and virtual_ip, and back, clients notice nothing", func(t *testing.T) {
		holder := d.ready(t)
		unnoticed(t, d.measure(t, 2*time.Second, func() {
			require.NoError(t, d.Integrate("haproxy", "keepalived:juju-info"))
			d.configure(t, "virtual_ip=10.10.74.250 10.10.74.252")
			require.NoError(t, d.RemoveRelation("haproxy:ha", "keepalived:ha"))
			d.settled(t)
			require.Len(t, d.units(), 2)
			d.configure(t, "healthcheck_type=unit", "healthcheck_target=haproxy.service")
			require.NoError(t, d.Integrate("haproxy:ha", "keepalived:ha"))
			d.settled(t)
			d.configure(t, "virtual_ip=")
			require.NoError(t, d.RemoveRelation("haproxy:juju-info", "keepalived:juju-info"))
			d.settled(t)
		}))
		require.Equal(t, holder, d.ready(t))
		d.only(t, holder, "10.10.74.250", "10.10.74.252")
		require.Equal(t, []string{"yes", "yes"}, d.clustered(t))
	})
	d.scenario(t, "asked for another address while an agent is away, none has two holders, and all follow", func(t *testing.T) {
		holder := d.ready(t)
		away := d.standbys(t, holder)[0]
		from := time.Now()
		d.held(t, away)
		require.NoError(t, d.SetConfig("haproxy", map[string]string{"request": request(t, "haproxy-04-vip-changed")}))
		changed, err := d.WaitHolder(d.ctx, otherVIP)
		require.NoError(t, err)
		require.Equal(t, holder, changed, "it goes on without the other")
		d.hold(t, away, false)
		d.settled(t)
		d.only(t, holder, "10.10.74.251")
		d.held(t, holder)
		require.NoError(t, d.SetConfig("haproxy", map[string]string{"request": request(t, "haproxy-02-second")}))
		s := d.shows(t, d.unitOn(t, away), func(s lab.Said) bool { return s.Current == "waiting" })
		require.Regexp(t, `^nobody holds 10\.10\.74\.250: waits for haproxy/\d+ to ask for that too, keepalived/\d+ holds 10\.10\.74\.251$`, s.Message)
		d.only(t, holder, "10.10.74.251")
		d.hold(t, holder, false)
		require.Equal(t, holder, d.ready(t))
		d.only(t, holder, "10.10.74.250")
		for _, address := range []netip.Addr{lab.VIP, otherVIP} {
			require.LessOrEqual(t, d.Holders.Between(address, from, time.Now()).Shared, patience.With(sharedAtMost), address)
		}
	})
	d.scenario(t, "a third unit is not noticed, and a principal that is removed hands over", func(t *testing.T) {
		holder := d.ready(t)
		unnoticed(t, d.measure(t, time.Second, func() {
			require.NoError(t, d.AddUnits(d.ctx, "haproxy", 1))
			d.settled(t)
		}))
		require.Equal(t, holder, d.ready(t))
		require.Equal(t, []string{"yes", "yes", "yes"}, d.clustered(t))
		moved(t, d.measure(t, 0, func() { d.removeUnit(t, holder) }), handedOver)
		d.only(t, d.ready(t), "10.10.74.250")
		require.Equal(t, []string{"yes", "yes"}, d.clustered(t))
	})
	d.scenario(t, "the holder's machine dies and the other takes over", func(t *testing.T) {
		holder := d.ready(t)
		moved(t, d.measure(t, 2*time.Second, func() { require.NoError(t, d.Kill(d.ctx, holder)) }), machineDies)
		require.NotEqual(t, holder, d.waitHolder(t))
	})
}
