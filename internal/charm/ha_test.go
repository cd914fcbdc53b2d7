package charm_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
)

// written is a databag that a principal's own library wrote.
func written(t testing.TB, name string) juju.Databag {
	t.Helper()
	return databagIn(t, filepath.Join("../hacluster/testdata", name+".json"), "unit_databag")
}

// databagIn reads a databag from a file that was recorded.
func databagIn(t testing.TB, file, databag string) juju.Databag {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &members))
	var bag juju.Databag
	require.NoError(t, json.Unmarshal(members[databag], &bag))
	return bag
}

// back is what haproxy's library writes when option vip is set back to a former value.
func back(t testing.TB) juju.Databag {
	t.Helper()
	bag := maps.Clone(written(t, "haproxy-02-second"))
	bag["json_delete_resources"] = `["res_haproxy_4c14516_vip", "res_haproxy_de16ea2_vip"]`
	return bag
}

// bothFamilies gives a machine an IPv6 subnet too.
func bothFamilies(s *charmtest.State) {
	own := &s.Host.Interfaces[1].Addresses
	*own = append(*own, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: (*own)[0].Addr().As4()[3]}), 64))
}

// alone is a unit that is related to its principal on ha alone.
func alone(t *testing.T) charmtest.State {
	t.Helper()
	s := charmtest.NewState(0)
	delete(s.Juju.Relations, endpoint.JujuInfo)
	s.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
	s.Host.Holds = true
	bothFamilies(&s)
	return run(t, s.Asked(nil), "install", "ha-relation-created", "cluster-relation-created", "config-changed", "start", "ha-relation-joined")
}

// loaded lists the virtual IPs that the daemon has read.
func loaded(s charmtest.State) string {
	var list []string
	for _, a := range []string{"10.10.74.250", "10.10.74.251", "10.10.74.252", "2001:db8::250"} {
		if s.Host.Keepalived.Running && strings.Contains(s.Host.Keepalived.Loaded, a+"/") {
			list = append(list, a)
		}
	}
	return strings.Join(list, " ")
}

// checks is what the health checker has read.
func checks(t *testing.T, s charmtest.State) string {
	t.Helper()
	c, err := healthcheck.Parse([]byte(s.Host.Checkers["keepalived"].Config))
	require.NoError(t, err)
	return c.Check.String()
}

// TestPrincipalsAskOverTheLifeOfARelation: what each bag that was recorded, in its order, makes
// of a unit.
func TestPrincipalsAskOverTheLifeOfARelation(t *testing.T) {
	const waits = "waiting: waits for haproxy/0 to ask for a virtual IP: set one there, or if one is set, another value and back"
	const none = "waiting: haproxy/0 asks for no virtual IP: set one there"
	type step struct {
		bag                      juju.Databag
		loaded, status, checking string
		yes                      string // clustered
	}
	bag := func(name string) juju.Databag { return written(t, name) }
	holds := func(a string) string { return "active: VIP ready: holds " + a }
	const v0, v1, v2, v6, haproxy, nginx, tcp = "10.10.74.250", "10.10.74.251", "10.10.74.252", "2001:db8::250", "unit haproxy.service", "unit nginx.service", "tcp localhost:443"
	joins := alone(t)
	delete(joins.Juju.Relations[endpoint.HA][charmtest.Asks], joins.Juju.Principal)
	require.Equal(t, waits, run(t, joins, "ha-relation-created").Juju.Status.String(), "it has yet to join")
	for life, steps := range map[string][]step{
		"haproxy": {
			{bag("haproxy-00-no-vip-option"), "", waits, "", ""},
			{bag("haproxy-01-first"), v0, holds(v0), haproxy, "yes"},
			{bag("haproxy-02-second"), v0, holds(v0), haproxy, "yes"},
			{bag("haproxy-03-third"), v0, holds(v0), haproxy, "yes"},
			{bag("haproxy-04-vip-changed"), v1, holds(v1), haproxy, "yes"},
			{bag("haproxy-05-vip-changed-next"), v1, holds(v1), haproxy, "yes"},
			{back(t), v0, holds(v0), haproxy, "yes"},
			{bag("haproxy-08-vip-third"), v0 + " " + v2, holds(v2 + ", " + v0), haproxy, "yes"},
			{bag("haproxy-12-re-related-changed"), v0 + " " + v6, holds(v6 + ", " + v0), haproxy, "yes"},
		},
		"kubeapi-load-balancer": {
			{bag("klb-00-no-vip-first"), "", none, "", ""},
			{bag("klb-01-no-vip-second"), "", none, "", ""},
			{bag("klb-02-vip"), v0, holds(v0), nginx, "yes"},
			{bag("klb-03-vip-next"), v0, holds(v0), nginx, "yes"},
			{bag("klb-13-two"), v0 + " " + v1, holds(v0 + ", " + v1), nginx, "yes"},
			{bag("klb-14-two-next"), v0 + " " + v1, holds(v0 + ", " + v1), nginx, "yes"},
			{bag("klb-17-all-removed"), "", none, "", ""},
			{bag("klb-18-all-removed-next"), "", none, "", ""},
			{bag("klb-20-dual-stack"), v0 + " " + v6, holds(v0 + ", " + v6), nginx, "yes"},
		},
		"kubeapi-load-balancer, fresh": {
			{bag("klb-10-fresh-first"), v0, holds(v0), tcp, "yes"},
			{bag("klb-11-fresh-second"), v0, holds(v0), nginx, "yes"},
			{bag("klb-30-dns"), v0, "blocked: cannot serve what haproxy/0 asks for: res_kubeapi_load_balancer_public_hostname is ocf:maas:dns; meanwhile VIP ready: holds " + v0, nginx, ""},
			{bag("klb-40-re-related"), v0, holds(v0), tcp, "yes"},
			{bag("haproxy-11-re-related"), v0, waits + "; meanwhile VIP ready: holds " + v0, tcp, ""},
		},
		"others": {
			{bag("klb-30-dns"), "", "blocked: cannot serve what haproxy/0 asks for: res_kubeapi_load_balancer_public_hostname is ocf:maas:dns", "", ""},
			{bag("other-02-service-not-cloned"), "", "blocked: cannot serve what haproxy/0 asks for: res_other_etcd, which is systemd:etcd, is no clone", "", ""},
			{bag("other-00-nic-netmask"), v0, holds(v0), tcp, "yes"},
		},
	} {
		s := alone(t)
		for n, want := range steps {
			out := charmtest.Run(t, "ha-relation-changed", s.Asked(want.bag))
			require.Equal(t, want.loaded, loaded(out.State), "%s %d: %s", life, n, out.Juju.Status)
			require.Equal(t, want.status, out.Juju.Status.String(), "%s %d", life, n)
			require.Equal(t, want.yes, out.Juju.Own(charmtest.Asks)["clustered"], "%s %d", life, n)
			if want.checking != "" {
				require.Equal(t, want.checking, checks(t, out.State), "%s %d", life, n)
			}
			first, _, _ := strings.Cut(strings.TrimPrefix(want.status, "active: VIP ready: holds "), ",")
			if strings.HasPrefix(want.status, "active") {
				require.Equal(t, first, out.Juju.Own("website:3")["hostname"], "%s %d", life, n)
			}
			if n > 0 && want.status == steps[n-1].status && want.checking == steps[n-1].checking {
				require.Empty(t, out.Steps, "%s %d: nothing new", life, n)
			}
			again := charmtest.Run(t, "update-status", out.State)
			require.Empty(t, again.Steps, "%s %d", life, n)
			require.Empty(t, again.Stale())
			s = again.State
		}
	}
}

// TestASpoiltRequestChangesNothing: the unit goes on, or begins nothing, and says why.
func TestASpoiltRequestChangesNothing(t *testing.T) {
	good := written(t, "klb-20-dual-stack")
	begins := alone(t)
	s := run(t, begins.Asked(good), "ha-relation-changed")
	for key, value := range good {
		for _, spoilt := range []string{value[:len(value)/2], value + value, `{"a": 1}`, "[[]]", "null", strings.ReplaceAll(value, "10.10", "\n}10"), strings.Repeat("x", 1<<20)} {
			bag := maps.Clone(good)
			bag[key] = spoilt
			out := charmtest.Run(t, "ha-relation-changed", s.Asked(bag))
			require.Equal(t, s.Host.Files, out.Host.Files, "%s: %.40q", key, spoilt)
			require.Equal(t, s.Host.Keepalived, out.Host.Keepalived)
			if out.Juju.Status != s.Juju.Status {
				require.True(t, strings.HasPrefix(out.Juju.Status.String(), "blocked: cannot serve what haproxy/0 asks for: "), out.Juju.Status)
				require.Less(t, len(out.Juju.Status.Message), 900)
				require.False(t, charmtest.Run(t, "ha-relation-changed", begins.Asked(bag)).Host.Keepalived.Running)
			}
		}
	}
}

// TestTwoSourcesOfVirtualIPs: the option, and what the principal asks for.
func TestTwoSourcesOfVirtualIPs(t *testing.T) {
	asks := func(s charmtest.State, name string) charmtest.State { return s.Asked(written(t, name)) }
	const other = "blocked: virtual_ip is 10.10.74.251, and haproxy/0 asks for 10.10.74.250: make them the same, or juju config keepalived virtual_ip="
	for claim, c := range map[string]struct {
		before          func(charmtest.State) charmtest.State
		option, request string
		loaded, status  string
		clustered       string
	}{
		"the same set is fine, in the operator's order":    {nil, "2001:db8::250 10.10.74.250", "klb-20-dual-stack", "10.10.74.250 2001:db8::250", "active: VIP ready: holds 2001:db8::250, 10.10.74.250", "yes"},
		"others: nothing begins":                           {nil, "10.10.74.251", "haproxy-01-first", "", other, ""},
		"others: what the option said goes on":             {func(s charmtest.State) charmtest.State { return option(s, "virtual_ip", "10.10.74.251") }, "10.10.74.251", "haproxy-01-first", "10.10.74.251", other + "; meanwhile VIP ready: holds 10.10.74.251", ""},
		"others: what was asked for goes on":               {func(s charmtest.State) charmtest.State { return asks(s, "haproxy-01-first") }, "10.10.74.251", "haproxy-01-first", "10.10.74.250", other + "; meanwhile VIP ready: holds 10.10.74.250", "yes"},
		"nothing asked for yet: the option's":              {nil, "10.10.74.251", "haproxy-00-no-vip-option", "10.10.74.251", "active: VIP ready: holds 10.10.74.251", ""},
		"no virtual IP asked for: the option's":            {nil, "10.10.74.251", "klb-01-no-vip-second", "10.10.74.251", "active: VIP ready: holds 10.10.74.251", ""},
		"what cannot be served: the option's, and says so": {nil, "10.10.74.251", "klb-30-dns", "10.10.74.251", "blocked: cannot serve what haproxy/0 asks for: res_kubeapi_load_balancer_public_hostname is ocf:maas:dns; meanwhile VIP ready: holds 10.10.74.251", ""},
		"an option that cannot be read":                    {nil, "10.10.74.300", "haproxy-01-first", "", `blocked: option virtual_ip is "10.10.74.300", must be an IP address such as 10.10.74.250 or 10.10.74.250/24`, ""},
	} {
		s := alone(t)
		if c.before != nil {
			s = run(t, c.before(s), "config-changed")
		}
		s = asks(option(s, "virtual_ip", c.option), c.request)
		for _, hook := range []string{"config-changed", "ha-relation-changed"} {
			s = run(t, s, hook)
			require.Equal(t, c.loaded, loaded(s), "%s: %s", claim, hook)
			require.Equal(t, c.status, s.Juju.Status.String(), "%s: %s", claim, hook)
			require.Equal(t, c.clustered, s.Juju.Own(charmtest.Asks)["clustered"], "%s: %s", claim, hook)
		}
	}
}

// TestWhatIsAskedForIsJudgedAsTheOptionIs, and the words name who asks.
func TestWhatIsAskedForIsJudgedAsTheOptionIs(t *testing.T) {
	s := alone(t)
	bag := func(address string) juju.Databag {
		return juju.Databag{"json_resources": `{"res_vip": "ocf:heartbeat:IPaddr2"}`, "json_resource_params": `{"res_vip": "params ip=` + address + `"}`}
	}
	for address, want := range map[string]string{
		"10.10.74.11":             `blocked: haproxy/0 asks for virtual IP "10.10.74.11", must be a free address, 10.10.74.11 is the own address of keepalived/0`,
		"10.10.74.255":            `blocked: haproxy/0 asks for virtual IP "10.10.74.255", must be a free host address, 10.10.74.255 is the broadcast address of 10.10.74.0/24`,
		"127.0.0.1":               `blocked: haproxy/0 asks for virtual IP "127.0.0.1", must be an address that one machine can hold, 127.0.0.1 is a loopback address`,
		"10.10.74.250 nic=ens192": `blocked: haproxy/0 asks for interface "ens192", must be an interface of this machine (eth0)`,
		"10.10.74.250/0":          `blocked: cannot serve what haproxy/0 asks for: res_vip has no netmask: cidr_netmask is 0`,
	} {
		out := run(t, s.Asked(bag(address)), "ha-relation-changed")
		require.Equal(t, want, out.Juju.Status.String())
		require.Empty(t, out.Juju.Own(charmtest.Asks)["clustered"])
		require.False(t, out.Host.Keepalived.Running)
	}
	control := with(s, func(s *charmtest.State) { s.Host.Principal = "kubernetes-control-plane" })
	control = run(t, control.Asked(written(t, "klb-10-fresh-first")), "ha-relation-changed")
	require.Equal(t, "blocked: cannot serve what haproxy/0 asks for: kubernetes-control-plane runs crm of pacemaker by itself: relate it on juju-info instead", control.Juju.Status.String())
	require.False(t, control.Host.Keepalived.Running)
}

// nics is a request for 10.10.74.250 and 198.51.100.9, each with the interface that is named for it.
func nics(near, far string) juju.Databag {
	return juju.Databag{"json_resources": `{"a": "ocf:heartbeat:IPaddr2", "b": "ocf:heartbeat:IPaddr2"}`,
		"json_resource_params": `{"a": "params ip=10.10.74.250 nic=` + near + `", "b": "params ip=198.51.100.9 cidr_netmask=24 nic=` + far + `"}`}
}

// TestEachVirtualIPIsOnTheInterfaceThatIsNamedForIt, if one is.
func TestEachVirtualIPIsOnTheInterfaceThatIsNamedForIt(t *testing.T) {
	at := func(near, far string) string {
		return "10.10.74.250/32 dev " + near + "\n        198.51.100.9/24 dev " + far + "\n"
	}
	begins := plus(alone(t), interfaceWith("eth1", "10.10.76.11/24"), interfaceWith("eth2", "10.10.77.11/24"))
	s := run(t, begins.Asked(nics("", "eth1")), "ha-relation-changed")
	require.Contains(t, s.Host.Keepalived.Loaded, at("eth0", "eth1"), "%s", s.Juju.Status)
	require.Equal(t, "active: VIP ready: holds 10.10.74.250, 198.51.100.9", s.Juju.Status.String())
	require.Equal(t, "10.10.74.250", s.Juju.Own("website:3")["hostname"])
	require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
	for claim, c := range map[string]struct {
		near, far string
		options   map[string]any
		loaded    string
		status    string
	}{
		"each its own":                     {"eth0", "eth2", nil, at("eth0", "eth2"), ""},
		"one for both":                     {"eth1", "eth1", nil, at("eth1", "eth1"), "; 10.10.74.250 is in the subnet of eth0, not of eth1: see network_interface"},
		"the option goes before":           {"", "eth1", map[string]any{"network_interface": "eth2"}, at("eth2", "eth2"), "; 10.10.74.250 is in the subnet of eth0, not of eth2: see network_interface"},
		"none: it stays where it is":       {"", "", nil, at("eth0", "eth1"), ""},
		"one that is not there: as before": {"", "eth9", nil, at("eth0", "eth1"), `blocked: haproxy/0 asks for virtual IP "10.10.74.250,198.51.100.9%eth9/24", must be on an interface of this machine (eth0, eth1, eth2), eth9 is none; meanwhile VIP ready`},
	} {
		for hook, from := range map[string]charmtest.State{"ha-relation-changed": s, "config-changed": s} {
			next := from.Asked(nics(c.near, c.far))
			maps.Copy(next.Juju.Options, c.options)
			next = run(t, next, hook, "update-status")
			require.Contains(t, next.Host.Keepalived.Loaded, c.loaded, "%s: %s", claim, next.Juju.Status)
			require.Contains(t, next.Juju.Status.String(), c.status, claim)
			require.Empty(t, charmtest.Run(t, "update-status", next).Steps, claim)
		}
	}
	none := run(t, begins.Asked(nics("", "eth9")), "ha-relation-changed")
	require.False(t, none.Host.Keepalived.Running)
	gone := with(s, func(s *charmtest.State) { s.Host.Interfaces = slices.Delete(s.Host.Interfaces, 2, 3) })
	require.Equal(t, s.Host.Keepalived, run(t, gone, "update-status").Host.Keepalived, "it may come back")
}

func TestOptionsThatAreSetGoBeforeTheRequest(t *testing.T) {
	s := alone(t).Asked(written(t, "haproxy-01-first"))
	for claim, c := range map[string]struct {
		options map[string]any
		checks  string
	}{
		"none":                    {nil, "unit haproxy.service"},
		"the port is no check":    {map[string]any{"port": 80}, "unit haproxy.service"},
		"how often says not what": {map[string]any{"healthcheck_interval": 5, "healthcheck_fall": 1}, "unit haproxy.service"},
		"the type":                {map[string]any{"healthcheck_type": "http"}, "http localhost:443"},
		"the target":              {map[string]any{"healthcheck_target": "127.0.0.1:8443"}, "tcp 127.0.0.1:8443"},
		"no check":                {map[string]any{"healthcheck_type": "none"}, "none"},
	} {
		one := s.Clone()
		maps.Copy(one.Juju.Options, c.options)
		require.Equal(t, c.checks, checks(t, run(t, one, "ha-relation-changed")), claim)
	}
}

// TestClusteredIsToldOnlyOfWhatKeepalivedRanWith, and no longer than the unit serves it.
func TestClusteredIsToldOnlyOfWhatKeepalivedRanWith(t *testing.T) {
	told := func(s charmtest.State) string { return s.Juju.Own(charmtest.Asks)["clustered"] }
	s := run(t, alone(t).Asked(written(t, "haproxy-02-second")), "ha-relation-changed")
	require.Equal(t, "yes", told(s))
	dead := with(s, func(s *charmtest.State) {
		s.Host.Masked, s.Host.Keepalived.Running, s.Host.Keepalived.Loaded = true, false, ""
	})
	require.Equal(t, "yes", told(run(t, dead, "update-status")), "it ran with that one")
	dead = run(t, dead.Asked(written(t, "haproxy-04-vip-changed")), "ha-relation-changed")
	require.Empty(t, told(dead), "it never ran with that one")
	require.Empty(t, told(run(t, dead, "update-status")))
	dead.Host.Masked = false
	require.Equal(t, "yes", told(run(t, dead, "update-status")))
	upgraded := run(t, s, "pre-series-upgrade")
	require.Empty(t, told(upgraded))
	require.Equal(t, "yes", told(run(t, upgraded, "post-series-upgrade")))
}

// TestClusteredIsTakenBackWhileAnotherAddressIsOnItsWay, and stays told of one that answers all
// the while.
func TestClusteredIsTakenBackWhileAnotherAddressIsOnItsWay(t *testing.T) {
	told := func(s charmtest.State) string { return s.Juju.Own(charmtest.Asks)["clustered"] }
	for claim, c := range map[string]struct{ from, to, meanwhile string }{
		"the same":       {"haproxy-02-second", "haproxy-02-second", "yes"},
		"one more":       {"haproxy-02-second", "haproxy-08-vip-third", ""},
		"one less":       {"klb-13-two", "klb-03-vip-next", "yes"},
		"another family": {"klb-11-fresh-second", "klb-20-dual-stack", ""},
	} {
		s := run(t, alone(t).Asked(written(t, c.from)), "ha-relation-changed", "update-status")
		s = option(s.Asked(written(t, c.to)), "router_id", 51)
		s.Host.Slow = true
		for _, hook := range []string{"ha-relation-changed", "update-status", charmtest.Refresh} {
			s = run(t, s, hook)
			require.NotEmpty(t, s.Host.Pinned, claim)
			require.Equal(t, c.meanwhile, told(s), "%s, %s: %s", claim, hook, s.Juju.Status)
		}
		s.Host.Slow = false
		require.Equal(t, "yes", told(run(t, s, "update-status")), claim)
	}
}

// TestTheUnitGoesWithItsLastRelationToThePrincipal, and not with another one.
func TestTheUnitGoesWithItsLastRelationToThePrincipal(t *testing.T) {
	for _, hook := range []string{"ha-relation-departed", "ha-relation-broken"} {
		s := run(t, alone(t).Asked(written(t, "haproxy-01-first")), "ha-relation-changed", "update-status")
		gone := func(s charmtest.State) charmtest.State {
			s = s.Clone()
			delete(s.Juju.Relations[endpoint.HA][charmtest.Asks], s.Juju.Principal)
			return s
		}
		last := run(t, gone(s), hook, "config-changed", "update-status")
		require.True(t, last.Host.Departs, hook)
		require.Equal(t, s.Host.Keepalived, last.Host.Keepalived, "it changes nothing any more")
		require.False(t, run(t, last, "stop").Host.Keepalived.Running)

		s.Juju.Relate(endpoint.JujuInfo, "juju-info:0", s.Juju.Principal)
		s = run(t, s, "juju-info-relation-created")
		other := run(t, gone(s), hook)
		require.False(t, other.Host.Departs, hook)
		require.Equal(t, "blocked: Please configure virtual ips: juju config keepalived virtual_ip=ADDRESS", other.Juju.Status.String())
		require.False(t, other.Host.Keepalived.Running)
		// The unit itself departs, as it does with its principal unit.
		out := charmtest.RunHook(t, charmtest.Hook{Name: "ha-relation-departed", Departing: unit(0)}, gone(s))
		require.NoError(t, out.Err)
		require.True(t, out.Host.Departs)
		require.Equal(t, s.Host.Keepalived, out.Host.Keepalived)
	}
}
