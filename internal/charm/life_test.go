package charm_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
)

// with returns a changed copy.
func with(in charmtest.State, change func(*charmtest.State)) charmtest.State {
	out := in.Clone()
	change(&out)
	return out
}

func option(in charmtest.State, name string, value any) charmtest.State {
	return with(in, func(s *charmtest.State) { s.Juju.Options[name] = value })
}

// run runs hooks one after the other.
func run(t *testing.T, in charmtest.State, hooks ...string) charmtest.State {
	t.Helper()
	for _, h := range hooks {
		in = charmtest.Run(t, h, in).State
	}
	return in
}

// serving is a unit that holds 10.10.74.250, with both clients related.
func serving(t *testing.T) charmtest.State {
	t.Helper()
	s := charmtest.NewState(0)
	s.Juju.Options["virtual_ip"] = "10.10.74.250"
	s.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
	s.Juju.Relate(endpoint.LoadBalancer, "loadbalancer:4", juju.Unit{Application: "master"})
	s.Juju.Relate(endpoint.LBSink, "lb-sink:5", juju.Unit{Application: "lb"})
	s.Host.Holds = true
	s.Host.Check = facts.CheckResult{Known: true, Healthy: true}
	return run(t, s, "install", "config-changed", "start", "update-status")
}

const vip = "10.10.74.250"

// TestALifeInJujusOrder runs every hook that Juju runs from deploy to removal of
// a subordinate.
func TestALifeInJujusOrder(t *testing.T) {
	before := charmtest.NewState(0)
	s := before.Clone()
	noVIP := "blocked: Please configure virtual ips: juju config keepalived virtual_ip=ADDRESS"
	for _, hook := range []string{"install", "juju-info-relation-created", "cluster-relation-created", "leader-elected",
		"config-changed", "start", "juju-info-relation-joined", "juju-info-relation-changed", "update-status"} {
		s = charmtest.Run(t, hook, s).State
		require.Equal(t, noVIP, s.Juju.Status.String(), hook)
		require.Empty(t, s.Host.Files[layout.MainFile], "no configuration without a virtual IP")
	}
	require.True(t, s.Host.Installed)
	require.Equal(t, "2.2.7", s.Juju.Version)

	s.Juju.Options["virtual_ip"] = vip
	out := charmtest.Run(t, "config-changed", s)
	s = out.State
	require.Equal(t, "active: VIP ready: standby for 10.10.74.250", s.Juju.Status.String())
	require.Empty(t, s.Stale())
	require.Equal(t, 1, s.Host.Keepalived.Starts)
	require.Equal(t, 0, s.Host.Keepalived.Reloads)
	require.Equal(t, 1, s.Host.Checkers["keepalived"].Starts)

	s.Juju.Relate(endpoint.LBSink, "lb-sink:5", juju.Unit{Application: "lb"})
	s = run(t, s, "lb-sink-relation-created", "lb-sink-relation-joined", "lb-sink-relation-changed")
	s.Juju.Relate(endpoint.LoadBalancer, "loadbalancer:4")
	s = run(t, s, "loadbalancer-relation-created", "loadbalancer-relation-joined", "loadbalancer-relation-changed")
	s.Juju.Relate(endpoint.Website, "website:3")
	s = run(t, s, "website-relation-created", "website-relation-joined", "website-relation-changed")
	require.Equal(t, vip, s.Juju.Own("website:3")["hostname"])
	require.Equal(t, vip, s.Juju.Own("loadbalancer:4")["public-address"])

	s.Host.Holds = true
	s = run(t, s, "leader-settings-changed", "update-status", "secret-changed", "secret-remove", "secret-rotate", "secret-expired")
	require.Equal(t, "active: VIP ready: holds 10.10.74.250", s.Juju.Status.String())
	require.Equal(t, [2]int{1, 0}, [2]int{s.Host.Keepalived.Starts, s.Host.Keepalived.Reloads}, "nothing restarted or reloaded")

	s.Host.Charm = "charm 2"
	s = run(t, s, "upgrade-charm", "config-changed")
	require.Empty(t, s.Stale())
	require.Equal(t, "charm 2", s.Host.Files[s.Layout().Binary()])
	require.Equal(t, 2, s.Host.Checkers["keepalived"].Starts)
	require.Equal(t, [2]int{1, 0}, [2]int{s.Host.Keepalived.Starts, s.Host.Keepalived.Reloads}, "an upgrade leaves the daemon alone")

	s = run(t, s, "pre-series-upgrade")
	require.False(t, s.Host.Keepalived.Running)
	s = run(t, s, "post-series-upgrade")
	require.True(t, s.Host.Keepalived.Running)
	require.Empty(t, s.Stale())

	for _, hook := range []string{"website-relation-departed", "website-relation-broken", "loadbalancer-relation-departed",
		"loadbalancer-relation-broken", "juju-info-relation-departed", "juju-info-relation-broken"} {
		s = charmtest.Run(t, hook, s).State
		require.True(t, s.Host.Keepalived.Running, hook)
	}
	s = run(t, s, "stop")
	require.False(t, s.Host.Keepalived.Running, "stop hands the virtual IP over")
	require.Empty(t, s.Host.Checkers)
	require.True(t, s.Host.Installed)
	s = run(t, s, "remove")
	require.Equal(t, before.Host.String(), with(s, func(s *charmtest.State) { s.Host.Charm = before.Host.Charm; s.Host.Holds = false }).Host.String())
}

// TestAUnitThatWasStoppedStaysStopped whatever Juju runs yet: a dying unit whose agent was
// restarted gets leader-settings-changed and its peer relation's broken after stop, and
// after remove, one whose machine was rebooted start.
func TestAUnitThatWasStoppedStaysStopped(t *testing.T) {
	s := withPeer(serving(t))
	again := []string{"cluster-relation-broken", "cluster-relation-departed", "cluster-relation-changed", "leader-settings-changed", "leader-elected",
		"start", "config-changed", "update-status", "upgrade-charm", "pre-series-upgrade", "secret-changed", "website-relation-broken", charmtest.Refresh}
	for claim, ended := range map[string]charmtest.State{
		"stopped":                run(t, s, "stop"),
		"removed":                run(t, s, "stop", "remove"),
		"removed without a stop": run(t, s, "remove"),
		"stopped beside another": run(t, with(s, addNeighbour), "stop"),
		"removed beside another": run(t, with(s, addNeighbour), "stop", "remove"),
		"never served":           run(t, run(t, charmtest.NewState(0), "install", "stop"), "remove"),
		"stopped in an upgrade":  run(t, s, "pre-series-upgrade", "stop"),
	} {
		for _, hook := range again {
			out := charmtest.Run(t, hook, ended)
			require.Empty(t, out.Steps, "%s: %s", claim, hook)
			require.Equal(t, ended.Host.String(), out.Host.String(), "%s: %s", claim, hook)
		}
		for _, action := range []string{"pause", "resume", "restart", "failover", "check-network", "status", "get-configuration"} {
			out := act(t, action, ended)
			require.Equal(t, ended.Host.String(), out.Host.String(), "%s: %s", claim, action)
		}
		anew := run(t, ended, "install", "config-changed", "start")
		if claim != "never served" {
			require.True(t, anew.Host.Keepalived.Running, claim)
		}
		require.Empty(t, anew.Stale(), claim)
	}
}

func TestARemovedUnitLeavesTheMachineAsItWas(t *testing.T) {
	const foreign = "vrrp_instance SOMEBODY {\n    interface eth0\n    virtual_router_id 99\n    virtual_ipaddress {\n        192.0.2.9/24\n    }\n}"
	for claim, change := range map[string]func(*charmtest.Host){
		"a machine without keepalived": func(*charmtest.Host) {},
		"a preinstalled package stays": func(h *charmtest.Host) { h.Installed = true },
		"a foreign configuration comes back byte for byte": func(h *charmtest.Host) {
			h.Installed = true
			h.Files[layout.MainFile] = foreign
			h.Keepalived = charmtest.Daemon{Running: true, Loaded: foreign}
		},
		"settings of the kernel come back": func(h *charmtest.Host) { h.Settings["net.ipv4.ip_nonlocal_bind"] = "1" },
	} {
		t.Run(claim, func(t *testing.T) {
			before := charmtest.NewState(0)
			change(&before.Host)
			s := option(before, "virtual_ip", vip)
			s = run(t, s, "install", "config-changed", "start", "update-status")
			require.Equal(t, strings.Contains(before.Host.Files[layout.MainFile], "SOMEBODY"),
				strings.Contains(s.Host.Keepalived.Loaded, "SOMEBODY"), "it goes on beside the charm's")
			require.Empty(t, s.Stale())
			idle := run(t, option(s, "virtual_ip", ""), "config-changed")
			require.Equal(t, before.Host.Files[layout.MainFile], idle.Host.Files[layout.MainFile])
			require.Empty(t, idle.Stale())
			assert.Equal(t, before.Host.String(), run(t, idle, "stop", "remove").Host.String())
			assert.Equal(t, before.Host.String(), run(t, s, "stop", "remove").Host.String())
			assert.Equal(t, before.Host.String(), run(t, s, "stop", "remove", "remove").Host.String(), "twice")
		})
	}
}

func TestTheFilesOfThePythonCharmAreTakenOver(t *testing.T) {
	const python = "vrrp_script chk_svc_port {\n}\nvrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 23\n    virtual_ipaddress {\n        10.10.74.250/24\n    }\n}"
	s := charmtest.NewState(0)
	s.Juju.Options["virtual_ip"] = "10.10.74.250/24"
	s.Host.Installed, s.Host.Holds = true, true
	s.Host.Files[layout.MainFile] = python
	s.Host.Files[layout.SysctlFile] = "\nnet.ipv4.ip_nonlocal_bind=1\n"
	s.Host.Keepalived = charmtest.Daemon{Running: true, Loaded: python}
	s.Juju.Ingress = []string{vip, "10.10.74.11"}
	out := charmtest.Run(t, "upgrade-charm", s)
	assert.Equal(t, "active: VIP ready: holds 10.10.74.250", out.Juju.Status.String(), "the address it holds is no address of its own")
	assert.Equal(t, [2]int{0, 1}, [2]int{out.Host.Keepalived.Starts, out.Host.Keepalived.Reloads})
	assert.Empty(t, out.Stale())
	assert.NotContains(t, out.Host.Files, layout.ForeignFile)
	assert.NotContains(t, run(t, out.State, "stop", "remove").Host.Files, layout.MainFile)
	assert.NotContains(t, run(t, option(s, "virtual_ip", ""), "upgrade-charm").Host.Files, layout.SysctlFile)
}

// TestAFileOfKernelSettingsOfTheOwnersComesBack: the name is that of the Python charm's file, and
// one that an owner would give, too. What it sets is set meanwhile when the machine boots.
func TestAFileOfKernelSettingsOfTheOwnersComesBack(t *testing.T) {
	const text = "# routing for the lab\nnet.ipv4.ip_forward = 1\nnet.ipv4.ip_nonlocal_bind = 0\n"
	s := option(charmtest.NewState(0), "virtual_ip", vip)
	s.Host.Installed, s.Host.Files[layout.SysctlFile] = true, text
	s = run(t, s, "install", "config-changed", "start", "update-status")
	require.Empty(t, s.Host.Stale(s.Layout().Application))
	require.True(t, strings.HasSuffix(s.Host.Files[layout.SysctlFile], "\n"+text), s.Host.Files[layout.SysctlFile])
	require.Equal(t, "1", s.Host.Settings["net.ipv4.ip_nonlocal_bind"])
	require.NotContains(t, s.Host.Settings, "net.ipv4.ip_forward", "what the owner sets is its own")
	require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
	out := run(t, s, "stop", "remove")
	require.Equal(t, map[string]string{layout.SysctlFile: text}, out.Host.Files)
	require.Equal(t, "0", out.Host.Settings["net.ipv4.ip_nonlocal_bind"])
}

func TestAnyHookRunTwicePlansNothingTheSecondTime(t *testing.T) {
	s := serving(t)
	for _, in := range map[string]charmtest.State{
		"new":    charmtest.NewState(0),
		"first":  option(charmtest.NewState(0), "virtual_ip", vip),
		"stands": s, "moved": option(s, "virtual_ip", "10.10.74.251/24"), "withdrawn": option(s, "virtual_ip", ""),
		"upgraded": with(s, func(s *charmtest.State) { s.Host.Charm = "charm 2" }),
	} {
		for _, hook := range []string{"install", "start", "config-changed", "upgrade-charm", "leader-elected", "update-status",
			"website-relation-changed", "cluster-relation-changed", "lb-sink-relation-broken", "stop", "pre-series-upgrade"} {
			if hook == "website-relation-changed" && in.Juju.Own("website:3") == nil {
				continue
			}
			once := charmtest.Run(t, hook, in)
			twice := charmtest.Run(t, hook, once.State)
			require.Empty(t, twice.Steps, hook)
			require.Equal(t, once.Host.String(), twice.Host.String(), hook)
			require.Equal(t, once.Juju.Status, twice.Juju.Status, hook)
		}
	}
}

func TestUpdateStatusTenTimesChangesNothing(t *testing.T) {
	s := serving(t)
	now := s
	for range 10 {
		out := charmtest.Run(t, "update-status", now)
		require.Empty(t, out.Steps)
		now = out.State
	}
	now.Juju.Statuses = s.Juju.Statuses
	require.Equal(t, s, now)
}

func TestLeadershipChangesNothing(t *testing.T) {
	s := serving(t)
	for _, hook := range []string{"leader-elected", "leader-settings-changed"} {
		out := charmtest.Run(t, hook, s)
		require.Empty(t, out.Steps)
		require.Equal(t, s.String(), out.String())
	}
}

func TestHooksThatBringNothingDoNothing(t *testing.T) {
	s := charmtest.NewState(0)
	for _, hook := range []string{"collect-metrics", "meter-status-changed"} {
		out := charmtest.Run(t, hook, s)
		require.Zero(t, out.Calls)
		require.Equal(t, s, out.State)
	}
}

func TestServicesThatAreDownAreStartedAgain(t *testing.T) {
	s := serving(t)
	s.Host.Keepalived = charmtest.Daemon{}
	out := charmtest.Run(t, "update-status", s)
	require.True(t, out.Host.Keepalived.Running)
	require.Empty(t, out.Stale())
	s = serving(t)
	s.Host.Checkers["keepalived"] = charmtest.Checker{Enabled: true}
	out = charmtest.Run(t, "update-status", s)
	require.True(t, out.Host.Checkers["keepalived"].Running)
	require.Zero(t, out.Host.Keepalived.Reloads)
}

func TestFilesChangedByHandAreMended(t *testing.T) {
	s := serving(t)
	for _, path := range s.Layout().Files() {
		if _, exists := s.Host.Files[path]; !exists {
			continue
		}
		for _, text := range []string{"", "by hand\n"} {
			out := charmtest.Run(t, "update-status", with(s, func(s *charmtest.State) { s.Host.Files[path] = text }))
			require.Equal(t, s.Host.Files[path], out.Host.Files[path])
			require.Empty(t, out.Stale(), path)
		}
		out := charmtest.Run(t, "update-status", with(s, func(s *charmtest.State) { delete(s.Host.Files, path) }))
		require.Equal(t, s.Host.Files[path], out.Host.Files[path])
		require.Empty(t, out.Stale(), path)
	}
}

func TestAStoppedCheckerThatIsStillEnabledGoesToo(t *testing.T) {
	s := serving(t)
	c := s.Host.Checkers["keepalived"]
	c.Running = false
	s.Host.Checkers["keepalived"] = c
	require.Empty(t, run(t, s, "stop").Host.Checkers)
}

func TestActionsChangeNothing(t *testing.T) {
	s := serving(t)
	for _, name := range []string{"status", "get-configuration", "history", "run-checks"} {
		out := charmtest.Run(t, "actions/"+name, s)
		require.Empty(t, out.Steps)
		require.Equal(t, s.String(), out.String())
		require.NotEmpty(t, out.Juju.Results)
	}
	results := charmtest.Run(t, "actions/status", s).Juju.Results
	assert.Equal(t, "VIP ready: holds 10.10.74.250", results["summary"])
	assert.Equal(t, "holder", results["vip-1-role"])
	assert.Equal(t, "254", results["vip-1-priority"])
	assert.Equal(t, "none", results["pending-follow-up"])
	assert.Contains(t, charmtest.Run(t, "actions/get-configuration", s).Juju.Results["fragment"], "vrrp_instance charm_keepalived")
	require.ErrorContains(t, charmtest.RunHook(t, charmtest.Hook{Name: "actions/nosuch"}, s).Err, "no such action")
}

// TestNothingIsServedWhileTheBaseIsUpgraded: Juju may have a hook on its way when
// pre-series-upgrade has run.
func TestNothingIsServedWhileTheBaseIsUpgraded(t *testing.T) {
	s := run(t, withPeer(serving(t)), "cluster-relation-changed", "pre-series-upgrade")
	require.Equal(t, "maintenance: VIP handed over, serving nothing", s.Juju.Status.String())
	for _, hook := range []string{"cluster-relation-changed", "config-changed", "update-status", "start", "leader-elected", "pre-series-upgrade", charmtest.Refresh} {
		out := charmtest.Run(t, hook, s)
		require.Empty(t, out.Steps, hook)
		require.Equal(t, s.Juju.Status, out.Juju.Status, hook)
	}
	for _, hook := range []string{"post-series-upgrade", "upgrade-charm"} {
		back := run(t, run(t, s, "update-status"), hook)
		require.True(t, back.Host.Keepalived.Running, hook)
		require.Empty(t, back.Stale())
		require.NotContains(t, back.Host.Files, back.Layout().Upgrading())
	}
	require.Empty(t, run(t, run(t, s, "stop"), "remove").Host.Files)
}
