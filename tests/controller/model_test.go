package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Charms without archive: every unit is model-only, so no agent is needed.
var (
	haproxy = Charm{Meta: CharmMeta{Name: "haproxy", Endpoints: []Endpoint{
		{Name: "reverseproxy", Role: Requirer, Interface: "http"},
		{Name: "peer", Role: Peer, Interface: "haproxy-peer"},
	}}}
	worker = Charm{Meta: CharmMeta{Name: "worker"}}
	sub    = Charm{Meta: CharmMeta{Name: "sub", Subordinate: true,
		Endpoints: []Endpoint{
			{Name: "juju-info", Role: Requirer, Interface: "juju-info", Scope: Container},
			{Name: "website", Role: Provider, Interface: "http"},
			{Name: "cluster", Role: Peer, Interface: "sub-cluster"},
		},
		Options: map[string]Option{
			"vip":  {Type: "string", Default: ""},
			"port": {Type: "int", Default: 443},
			"id":   {Type: "int"},
			"on":   {Type: "boolean"},
		},
		Actions: map[string]ActionSpec{"show": {}},
	}}
)

// model has haproxy on machines 0 and 1, worker on 2 and 3, and sub without units.
func model(t *testing.T, cfg Config) *Controller {
	t.Helper()
	c := New(cfg)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	for _, id := range []string{"0", "1", "2", "3"} {
		require.NoError(t, c.AddMachine(id, Address{Value: "10.0.0.1" + id, CIDR: "10.0.0.0/24", Interface: "eth0"}))
	}
	for _, ch := range []Charm{haproxy, worker, sub} {
		require.NoError(t, c.AddApplication(ApplicationSpec{Charm: ch}))
	}
	for app, machines := range map[string][]string{"haproxy": {"0", "1"}, "worker": {"2", "3"}} {
		for _, m := range machines {
			_, err := c.AddUnit(app, m)
			require.NoError(t, err)
		}
	}
	return c
}

func integrate(t *testing.T, c *Controller, a, b string) int {
	t.Helper()
	id, err := c.Integrate(a, b)
	require.NoError(t, err)
	return id
}

func unitNames(c *Controller, app string) []string {
	var names []string
	for _, u := range c.Status().Units {
		if u.Application == app {
			names = append(names, u.Name)
		}
	}
	return names
}

func TestContainerRelationCreatesOneSubordinatePerPrincipalUnit(t *testing.T) {
	c := model(t, Config{})
	integrate(t, c, "sub:juju-info", "haproxy:juju-info")
	require.Equal(t, []string{"sub/0", "sub/1"}, unitNames(c, "sub"))
	for i, name := range unitNames(c, "sub") {
		u, _ := c.Status().Unit(name)
		p, _ := c.Status().Unit(u.Principal)
		require.Equal(t, []string{name}, p.Subordinates)
		require.Equal(t, []string{"0", "1"}[i], u.Machine)
	}
	_, err := c.AddUnit("haproxy", "2")
	require.NoError(t, err)
	require.Equal(t, []string{"sub/0", "sub/1", "sub/2"}, unitNames(c, "sub"))
	integrate(t, c, "sub:juju-info", "worker:juju-info")
	require.Len(t, unitNames(c, "sub"), 5, "a second principal application gets its own")
}

func TestScopesDecideWhoSeesWhom(t *testing.T) {
	c := model(t, Config{})
	first := integrate(t, c, "sub:juju-info", "haproxy:juju-info")
	second := integrate(t, c, "sub:juju-info", "worker:juju-info")
	web := integrate(t, c, "sub:website", "haproxy:reverseproxy")
	peers, err := c.RelationID("sub:cluster", "sub:cluster")
	require.NoError(t, err)
	for _, tc := range []struct {
		claim    string
		relation int
		unit     string
		want     []string
	}{
		{"a subordinate sees its own principal only", first, "sub/1", []string{"haproxy/1"}},
		{"a principal sees its own subordinate only", first, "haproxy/0", []string{"sub/0"}},
		{"nobody of another principal application", second, "sub/0", nil},
		{"peers see all other units whatever their principal", peers, "sub/0", []string{"sub/1", "sub/2", "sub/3"}},
		{"a global relation shows all units of the other side", web, "sub/3", []string{"haproxy/0", "haproxy/1"}},
	} {
		t.Run(tc.claim, func(t *testing.T) {
			c.mu.Lock()
			defer c.mu.Unlock()
			require.Equal(t, tc.want, c.counterpartsLocked(c.relations[tc.relation], c.units[tc.unit]))
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	require.False(t, c.visibleLocked(c.relations[second], c.units["sub/0"]))
	require.True(t, c.visibleLocked(c.relations[second], c.units["sub/2"]))
}

func TestIntegrateRefusesWhatJujuRefuses(t *testing.T) {
	c := model(t, Config{})
	integrate(t, c, "sub:website", "haproxy:reverseproxy")
	for _, tc := range []struct{ a, b, want string }{
		{"haproxy:reverseproxy", "sub:website", "relation already exists"},
		{"worker", "sub:website", "no relations found"},
		{"worker:nope", "sub", `has no "nope" relation`},
		{"ghost", "sub", `application "ghost" not found`},
		{"sub", "haproxy", "ambiguous"},
		{"sub:cluster", "haproxy:peer", "no relations found"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			_, err := c.Integrate(tc.a, tc.b)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestDatabags(t *testing.T) {
	c := model(t, Config{})
	id := integrate(t, c, "sub:juju-info", "haproxy:juju-info")
	data, err := c.UnitData(id, "sub/1")
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"ingress-address": "10.0.0.11", "private-address": "10.0.0.11", "egress-subnets": "10.0.0.11/32",
	}, data, "Juju publishes the address")
	require.NoError(t, c.SetUnitData(id, "sub/1", map[string]string{"k": "v", "private-address": ""}))
	data, err = c.UnitData(id, "sub/1")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"ingress-address": "10.0.0.11", "egress-subnets": "10.0.0.11/32", "k": "v"}, data)
	require.NoError(t, c.SetAppData(id, "haproxy", map[string]string{"a": "b"}))
	data, err = c.AppData(id, "haproxy")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "b"}, data)
	require.Error(t, c.SetUnitData(id, "worker/0", map[string]string{"k": "v"}), "never in the relation")
	require.Error(t, c.SetAppData(id, "worker", nil))
}

func TestConfig(t *testing.T) {
	c := model(t, Config{})
	got, err := c.Config("sub")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"vip": "", "port": 443, "id": nil, "on": nil}, got)
	require.NoError(t, c.SetConfig("sub", map[string]string{"id": "7", "on": "true", "vip": "10.0.0.9"}))
	require.ErrorContains(t, c.SetConfig("sub", map[string]string{"vip": "x", "port": "many"}), `option "port" expected int, got "many"`)
	require.ErrorContains(t, c.SetConfig("sub", map[string]string{"nope": ""}), `unknown option "nope"`)
	require.NoError(t, c.ResetConfig("sub", "id"))
	got, err = c.Config("sub")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"vip": "10.0.0.9", "port": 443, "id": nil, "on": true}, got, "a wrong option leaves the others as they were")
}

func TestRemoval(t *testing.T) {
	t.Run("a removed relation takes the subordinates along", func(t *testing.T) {
		c := model(t, Config{})
		integrate(t, c, "sub:juju-info", "haproxy:juju-info")
		integrate(t, c, "sub:juju-info", "worker:juju-info")
		require.NoError(t, c.RemoveRelation("haproxy", "sub"))
		require.Equal(t, []string{"sub/2", "sub/3"}, unitNames(c, "sub"))
		_, err := c.RelationID("sub:juju-info", "haproxy:juju-info")
		require.Error(t, err)
	})
	t.Run("a removed principal unit takes its subordinate along", func(t *testing.T) {
		c := model(t, Config{})
		integrate(t, c, "sub:juju-info", "haproxy:juju-info")
		require.ErrorContains(t, c.RemoveUnit("sub/0"), "it is a subordinate")
		require.NoError(t, c.RemoveUnit("haproxy/0"))
		require.Equal(t, []string{"haproxy/1"}, unitNames(c, "haproxy"))
		require.Equal(t, []string{"sub/1"}, unitNames(c, "sub"))
		name, err := c.AddUnit("haproxy", "0")
		require.NoError(t, err)
		require.Equal(t, "haproxy/2", name, "unit numbers are not used again")
	})
	t.Run("a removed application goes with its units and relations", func(t *testing.T) {
		c := model(t, Config{})
		integrate(t, c, "sub:juju-info", "haproxy:juju-info")
		require.NoError(t, c.RemoveApplication("sub"))
		s := c.Status()
		require.Len(t, s.Applications, 2)
		require.Empty(t, unitNames(c, "sub"))
		require.Len(t, s.Relations, 1, "haproxy's peers stay")
	})
}

func TestRefreshFollowsJujusRules(t *testing.T) {
	changed := func(change func(*CharmMeta)) Charm {
		ch := sub
		ch.Revision = 1
		ch.Meta.Endpoints = append([]Endpoint(nil), sub.Meta.Endpoints...)
		ch.Meta.Options = map[string]Option{"vip": {Type: "string"}, "port": {Type: "boolean"}, "fresh": {Type: "int", Default: 1}}
		change(&ch.Meta)
		return ch
	}
	t.Run("peers come and go, values that do not fit are dropped", func(t *testing.T) {
		c := model(t, Config{})
		require.NoError(t, c.SetConfig("sub", map[string]string{"vip": "v", "port": "80"}))
		require.NoError(t, c.Refresh("sub", changed(func(m *CharmMeta) {
			m.Endpoints[2] = Endpoint{Name: "gang", Role: Peer, Interface: "g"}
		}), false))
		got, err := c.Config("sub")
		require.NoError(t, err)
		require.Equal(t, map[string]any{"vip": "v", "port": nil, "fresh": 1}, got)
		_, err = c.RelationID("sub:gang", "sub:gang")
		require.NoError(t, err)
		_, err = c.RelationID("sub:cluster", "sub:cluster")
		require.Error(t, err)
	})
	t.Run("refused", func(t *testing.T) {
		c := model(t, Config{})
		integrate(t, c, "sub:website", "haproxy:reverseproxy")
		for want, ch := range map[string]Charm{
			"would break relation": changed(func(m *CharmMeta) { m.Endpoints[1].Interface = "https" }),
			"subordinacy":          changed(func(m *CharmMeta) { m.Subordinate = false }),
			"named":                changed(func(m *CharmMeta) { m.Name = "other" }),
			"already runs":         sub,
		} {
			require.ErrorContains(t, c.Refresh("sub", ch, false), want)
		}
	})
}

func TestPortsOfOneMachineMustNotOverlap(t *testing.T) {
	c := model(t, Config{})
	integrate(t, c, "sub:juju-info", "haproxy:juju-info")
	require.NoError(t, c.OpenPort("haproxy/0", "443/tcp"))
	require.NoError(t, c.OpenPort("haproxy/0", "443/tcp"), "again is harmless")
	require.ErrorContains(t, c.OpenPort("sub/0", "443/tcp"), "conflict")
	require.ErrorContains(t, c.OpenPort("sub/0", "400-500/tcp"), "conflict")
	require.NoError(t, c.OpenPort("sub/0", "443/udp"))
	require.NoError(t, c.OpenPort("sub/1", "443/tcp"), "another machine")
	require.Error(t, c.OpenPort("sub/1", "70000/tcp"))
	require.Contains(t, c.Status().String(), "443/udp")
}

func TestLeaseIsNeverHeldByTwo(t *testing.T) {
	now := time.Now()
	var l lease
	granted, _ := l.claim("a/0", time.Minute, now)
	require.True(t, granted, "the first claim wins")
	granted, _ = l.claim("a/1", time.Minute, now)
	require.False(t, granted)

	l.successor = "a/1"
	granted, _ = l.claim("a/1", time.Minute, now.Add(time.Second))
	require.False(t, granted, "not before the holder knows")
	granted, freed := l.claim("a/0", time.Minute, now.Add(2*time.Second))
	require.False(t, granted)
	require.True(t, freed)
	granted, _ = l.claim("a/2", time.Minute, now.Add(3*time.Second))
	require.False(t, granted, "it is kept for the successor")
	granted, _ = l.claim("a/1", time.Minute, now.Add(3*time.Second))
	require.True(t, granted)

	granted, _ = l.claim("a/0", time.Minute, now.Add(64*time.Second))
	require.True(t, granted, "a holder that does not renew loses it")
}

func TestTagsGoBothWays(t *testing.T) {
	for tag, want := range map[string]string{
		unitTag("kubernetes-worker/12"):                        "kubernetes-worker/12",
		applicationTag("kubernetes-worker"):                    "kubernetes-worker",
		machineTag("0/lxd/3"):                                  "0/lxd/3",
		relationTag("a:juju-info kubernetes-worker:juju-info"): "a:juju-info kubernetes-worker:juju-info",
	} {
		_, id, err := parseTag(tag)
		require.NoError(t, err)
		require.Equal(t, want, id)
		require.False(t, strings.ContainsAny(tag, "/ "), tag)
	}
	_, _, err := parseTag("nonsense")
	require.Error(t, err)
}
