package charmtest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

const conf = "vrrp_instance charm_a { # x\n    interface eth0\n    virtual_router_id 23\n    priority 50\n    virtual_ipaddress {\n        10.0.0.1/32\n    }\n    virtual_ipaddress_excluded {\n        2001:db8::1/64 dev eth0\n    }\n}\n"

func paths() layout.Layout { return layout.Layout{Application: "keepalived"} }

func applied(t *testing.T, h *Host, steps ...step.Step) {
	t.Helper()
	for _, s := range steps {
		known, err := h.apply(paths(), s, false)
		require.True(t, known)
		require.NoError(t, err)
	}
}

func TestACloneSharesNothing(t *testing.T) {
	s := NewState(0)
	before := s.String()
	c := s.Clone()
	c.Juju.Options["port"] = 1
	c.Juju.Own("cluster:1")["rank"] = "9"
	c.Juju.Relate(endpoint.Website, "website:3")
	c.Host.Files["/x"] = "y"
	c.Host.Settings["a"], c.Host.Units["b"] = "1", "2"
	c.Host.Checkers["keepalived"] = Checker{Running: true}
	c.Host.Interfaces[1].Addresses[0] = c.Host.Interfaces[0].Addresses[0]
	require.Equal(t, before, s.String())
	require.Equal(t, NewState(0), s)
}

func TestAForgottenReloadShows(t *testing.T) {
	h := NewHost("10.0.0.9/24")
	h.Installed = true
	applied(t, &h, step.Step{Action: step.Write, Files: []step.File{{Path: layout.MainFile, Content: conf}}})
	require.Empty(t, h.Stale("keepalived"), "a daemon that does not run has read nothing wrong")
	reload := step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}}
	applied(t, &h, reload)
	require.Empty(t, h.Stale("keepalived"))
	applied(t, &h, step.Step{Action: step.Write, Files: []step.File{{Path: layout.MainFile, Content: "other\n"}}})
	require.Len(t, h.Stale("keepalived"), 1)
	applied(t, &h, reload)
	require.Empty(t, h.Stale("keepalived"))
}

func TestEveryForgottenFollowUpShows(t *testing.T) {
	h := NewHost("10.0.0.9/24")
	applied(t, &h, step.Step{Action: step.Write, Files: []step.File{{Path: layout.SysctlFile, Content: "# Written by the Juju charm keepalived\nnet.ipv4.ip_nonlocal_bind = 1\n"}}})
	require.Len(t, h.Stale("keepalived"), 1)
	applied(t, &h, step.Step{Action: step.Write, Files: []step.File{{Path: paths().CheckerUnit(), Content: "[Service]\n"}, {Path: paths().CheckerConfig(), Content: "{}"}}})
	require.Len(t, h.Stale("keepalived"), 2)
	applied(t, &h, step.Step{Action: step.Owe, FollowUps: []step.FollowUp{step.RestartChecker}})
	require.Len(t, h.Stale("keepalived"), 3)
	_, err := h.apply(paths(), step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.RestartChecker}}, false)
	require.ErrorContains(t, err, "unit read false", "a service starts only from what systemd has read")
	h.Charm = "charm 1"
	applied(t, &h, step.Step{Action: step.InstallBinary},
		step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.DaemonReload, step.ApplySysctl, step.RestartChecker}})
	require.Empty(t, h.Stale("keepalived"))
	applied(t, &h, step.Step{Action: step.Write, Files: []step.File{{Path: paths().CheckerConfig(), Content: "{ }"}}})
	require.Len(t, h.Stale("keepalived"), 1)
}

func TestAHolderHasTheAddressesThatItsDaemonRead(t *testing.T) {
	h := NewHost("10.0.0.9/24")
	h.Keepalived = Daemon{Running: true, Loaded: conf}
	m := h.observe(paths())
	require.Len(t, m.Instances, 1)
	assert.EqualValues(t, "BACKUP", m.Instances[0].State.String())
	assert.Len(t, m.Interfaces[1].Addresses, 2)
	h.Holds = true
	m = h.observe(paths())
	assert.EqualValues(t, "MASTER", m.Instances[0].State.String())
	assert.EqualValues(t, 23, m.Instances[0].VirtualRouterID)
	assert.EqualValues(t, 254, m.Instances[0].Effective)
	require.Len(t, m.Interfaces[1].Addresses, 4)
	assert.Equal(t, "10.0.0.1/32", m.Interfaces[1].Addresses[2].String())
	assert.Equal(t, "2001:db8::1/64", m.Interfaces[1].Addresses[3].String())
	assert.Len(t, h.Interfaces[1].Addresses, 2, "its own addresses stay what they were")
}

func TestAnUnknownStepIsNoStep(t *testing.T) {
	h := NewHost("10.0.0.9/24")
	known, err := h.apply(paths(), step.Step{Action: "dance"}, false)
	require.False(t, known)
	require.Error(t, err)
	_, err = h.apply(paths(), step.Step{Action: step.Do, FollowUps: []step.FollowUp{"dance"}}, false)
	require.Error(t, err)
}

func TestWhatIsPublishedCountsOnceTheHookEnded(t *testing.T) {
	s := NewState(0)
	s.Juju.Relate(endpoint.Website, "website:3")
	m := &model{t: t, state: &s.Juju, life: &life{}}
	require.NoError(t, m.Publish("website:3", juju.Databag{"port": "443", "private-address": "10.0.0.1"}))
	require.NotContains(t, s.Juju.Own("website:3"), "port")
	bag, err := m.Databag("website:3", s.Juju.Unit)
	require.NoError(t, err)
	require.Equal(t, "443", bag["port"], "the hook itself sees it")
	m.flush("config-changed")
	require.Equal(t, "10.0.0.1", s.Juju.Own("website:3")["private-address"])
	m = &model{t: t, state: &s.Juju, life: &life{}}
	require.NoError(t, m.Publish("website:3", juju.Databag{"port": "", "private-address": "10.0.0.1"}))
	m.flush("config-changed")
	require.Equal(t, juju.Databag{"private-address": "10.10.74.11", "ingress-address": "10.10.74.11", "egress-subnets": "10.10.74.11/32"},
		s.Juju.Own("website:3"), "Juju takes an unchanged private-address back")
	require.ErrorContains(t, m.Publish("website:9", nil), "relation not found")
	_, err = m.Databag("website:3", juju.Unit{Application: "x"})
	require.ErrorContains(t, err, "settings not found")
	_, err = m.RemoteUnits("website:9")
	require.ErrorContains(t, err, "relation not found")
}

func TestNumbersArriveAsJujuPrintsThem(t *testing.T) {
	s := NewState(0)
	options, err := (&model{t: t, state: &s.Juju, life: &life{}}).Options()
	require.NoError(t, err)
	require.Equal(t, "443", options["port"].(interface{ String() string }).String())
}

func TestADeadHookDoesNothingMore(t *testing.T) {
	for _, when := range []When{Before, Amid, After} {
		l := &life{death: Death{Step: 2, When: when}}
		done := 0
		for n := range 4 {
			err := l.step(func(amid bool) error {
				require.Equal(t, when == Amid && n == 1, amid)
				done++
				return nil
			})
			require.Equal(t, n == 0, err == nil)
		}
		require.Equal(t, map[When]int{Before: 1, Amid: 2, After: 2}[when], done)
		require.ErrorIs(t, l.call(func() error { return nil }), errDied)
	}
}

func TestACloneOfAClusterGoesItsOwnWay(t *testing.T) {
	c := NewCluster(t, map[string]any{"virtual_ip": "10.10.74.250", "router_id": 23, "port": 443})
	for range 2 {
		c.Add()
	}
	work := func(c *Cluster) {
		for range 3 {
			for _, n := range c.Nodes {
				for n.Busy() {
					c.Step(n)
				}
			}
			c.Pass(3)
		}
	}
	work(c)
	before := c.String()
	holder := func(c *Cluster) int {
		return slices.IndexFunc(c.Nodes, func(n *Node) bool { return slices.Contains(c.Serving(), n) })
	}
	k := c.Clone(t)
	require.Equal(t, before, k.String())
	k.Set(map[string]any{"router_id": 42})
	k.PowerOff(k.Nodes[holder(k)])
	k.Add()
	work(k)
	require.NotEqual(t, holder(c), holder(k))
	require.Contains(t, k.String(), "vrid=42")
	require.Equal(t, before, c.String())
	require.Zero(t, c.Gaps)
	c.Set(map[string]any{"router_id": 24})
	work(c)
	require.Contains(t, c.String(), "vrid=24")
}
