package charm_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
)

func TestWhoHasAptsLockIsNamed(t *testing.T) {
	busy := with(option(charmtest.NewState(0), "virtual_ip", vip), func(s *charmtest.State) { s.Host.Holder = "apt-get (pid 812)" })
	out := charmtest.Run(t, "install", busy)
	waits := juju.Status{Level: juju.Maintenance, Message: "installing keepalived, waits for apt-get (pid 812) to end"}
	n := slices.Index(out.Juju.Statuses, waits)
	require.Positive(t, n, "%v", out.Juju.Statuses)
	require.Equal(t, "maintenance: installing keepalived", out.Juju.Statuses[n+1].String())
	require.NotEqual(t, waits, out.Juju.Status)

	gone := charmtest.Run(t, "remove", run(t, out.State, "stop"))
	require.Contains(t, gone.Juju.Statuses, juju.Status{Level: juju.Maintenance, Message: "removing keepalived, waits for apt-get (pid 812) to end"})
	require.Equal(t, "maintenance: VIP handed over, serving nothing", gone.Juju.Status.String())
}

// TestAPackageRemovedByHandComesBack at once, or as soon as it can be had; the unit says
// what is in the way, and no hook fails.
func TestAPackageRemovedByHandComesBack(t *testing.T) {
	removed := with(serving(t), func(s *charmtest.State) {
		s.Host.Installed, s.Host.Keepalived.Running, s.Host.Keepalived.Loaded = false, false, ""
	})
	for claim, c := range map[string]struct {
		set  func(h *charmtest.Host, on bool)
		want string
	}{
		"held": {func(h *charmtest.Host, on bool) { h.Held = on }, "blocked: keepalived is held and cannot be installed: apt-mark unhold keepalived"},
		"in no archive": {func(h *charmtest.Host, on bool) { h.Gone = on },
			"blocked: keepalived cannot be installed: Unable to locate package keepalived: see apt-get install keepalived"},
		"useless in the charm": {func(h *charmtest.Host, on bool) {
			h.Useless = map[bool]string{true: "keepalived is for arm64, this machine is amd64"}[on]
		},
			"blocked: the charm's own packages cannot be installed: keepalived is for arm64, this machine is amd64: see docs/how-to/offline.md"},
	} {
		t.Run(claim, func(t *testing.T) {
			out := charmtest.Run(t, "update-status", with(removed, func(s *charmtest.State) { c.set(&s.Host, true) }))
			require.Equal(t, c.want, out.Juju.Status.String())
			require.Equal(t, removed.Juju.Own("cluster:1"), out.Juju.Own("cluster:1"), "peers are told nothing new")
			again := charmtest.Run(t, "config-changed", option(out.State, "port", 8443))
			require.Equal(t, c.want, again.Juju.Status.String())
			charmtest.Run(t, "remove", run(t, again.State, "stop"))
			back := charmtest.Run(t, "update-status", with(again.State, func(s *charmtest.State) { c.set(&s.Host, false) }))
			require.Contains(t, back.Juju.Status.Message, "VIP ready")
			require.Empty(t, back.Stale())
		})
	}
	back := charmtest.Run(t, charmtest.Refresh, removed)
	require.Contains(t, back.Juju.Status.Message, "VIP ready")
	require.True(t, back.Host.Keepalived.Running)
	require.Empty(t, back.Stale())
}

// TestAnOperatorIsObeyedWhileTheDaemonRunsAndItsProgramDoesNot: something that the program
// needs is gone, and cannot be brought back.
func TestAnOperatorIsObeyedWhileTheDaemonRunsAndItsProgramDoesNot(t *testing.T) {
	s := with(holding(t, "true"), func(s *charmtest.State) { s.Host.Installed, s.Host.Held = false, true })
	for _, parameters := range []map[string]any{nil, {"force": true}} {
		s.Juju.Parameters = parameters
		paused := act(t, "pause", s)
		require.Contains(t, paused.Host.Checkers["keepalived"].Config, `"aside": "paused"`, parameters)
		require.Empty(t, paused.Stale())
		paused.Juju.Parameters = nil
		resumed := act(t, "resume", paused.State)
		require.Empty(t, resumed.Juju.Failure)
		require.NotContains(t, resumed.Host.Checkers["keepalived"].Config, `"aside"`, parameters)
		require.Empty(t, resumed.Stale())
	}
}

// TestAUnitThatEndsTakesItsInstanceAwayThoughTheProgramDoesNotRun: the daemon that others need
// goes on, and reads what is left.
func TestAUnitThatEndsTakesItsInstanceAwayThoughTheProgramDoesNotRun(t *testing.T) {
	s := with(serving(t), addNeighbour)
	s = run(t, s, "update-status")
	s.Host.Broken = true
	for claim, hooks := range map[string][]string{"no virtual IP": {"config-changed"}, "stop": {"stop"}, "base upgrade": {"pre-series-upgrade"}} {
		one := s.Clone()
		if claim == "no virtual IP" {
			one = option(one, "virtual_ip", "")
		}
		require.Contains(t, one.Host.Keepalived.Loaded, "vrrp_instance charm_keepalived ", claim)
		one = run(t, one, hooks...)
		require.True(t, one.Host.Keepalived.Running, claim)
		require.NotContains(t, one.Host.Keepalived.Loaded, "vrrp_instance charm_keepalived ", claim)
	}
}

// TestAStandbyWhoseProgramDoesNotRunStandsAsideForTheOthers, which change what all share.
func TestAStandbyWhoseProgramDoesNotRunStandsAsideForTheOthers(t *testing.T) {
	c := newCluster(t, 2)
	standby := c.Nodes[1]
	standby.Host.Installed, standby.Host.Held = false, true
	c.Set(map[string]any{"router_id": 42})
	work(c, c.Nodes[0])
	standby.Pending = slices.DeleteFunc(standby.Pending, func(hook string) bool { return hook == "config-changed" })
	work(c, standby)
	require.Equal(t, "blocked: keepalived is held and cannot be installed: apt-mark unhold keepalived", standby.Juju.Status.String())
	require.NotEmpty(t, standby.Juju.Own("cluster:1")["aside"], c)
	require.Contains(t, standby.Host.Checkers["keepalived"].Config, `"aside"`)
	require.Len(t, c.Serving(), 1)
}

// TestAnEmptyVirtualIPEndsWhatIsServedWithoutThePackage, which nothing needs then, and who needs
// it again installs it.
func TestAnEmptyVirtualIPEndsWhatIsServedWithoutThePackage(t *testing.T) {
	for claim, before := range map[string]charmtest.State{
		"alone": serving(t),
		"beside what was there before the charm": with(serving(t), func(s *charmtest.State) {
			s.Host.Files[layout.ForeignFile] = "vrrp_instance mine {\n interface eth0\n virtual_router_id 9\n virtual_ipaddress {\n 10.10.74.9\n }\n}\n"
			*s = run(t, *s, "update-status")
		}),
	} {
		t.Run(claim, func(t *testing.T) {
			s := with(before, func(s *charmtest.State) {
				s.Host.Installed, s.Host.Gone, s.Host.Keepalived = false, true, charmtest.Daemon{}
			})
			s.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
			s = run(t, s, "website-relation-joined")
			s = run(t, option(s, "virtual_ip", ""), "config-changed")
			require.Contains(t, s.Juju.Status.String(), "blocked: Please configure virtual ips")
			require.NotContains(t, s.Host.Files, s.Layout().Fragment())
			require.Empty(t, s.Host.Checkers)
			require.Empty(t, s.Juju.Own("website:3")["port"], "clients are told")
			require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
			s = run(t, with(option(s, "virtual_ip", vip), func(s *charmtest.State) { s.Host.Gone = false }), "config-changed")
			require.True(t, s.Host.Keepalived.Running)
		})
	}
}

// TestAFaultOfAptIsTold though the hook fails, so that Juju runs it again.
func TestAFaultOfAptIsTold(t *testing.T) {
	offline := with(charmtest.NewState(0), func(s *charmtest.State) { s.Host.Offline = true })
	out := charmtest.RunHook(t, charmtest.Hook{Name: "install"}, offline)
	require.Error(t, out.Err)
	require.Equal(t, "waiting: cannot install keepalived: Unable to fetch some archives; Could not resolve archive.example.com", out.Juju.Status.String())
}

func mask(s charmtest.State, on bool) charmtest.State {
	return with(s, func(s *charmtest.State) { s.Host.Masked = on })
}

// TestAMaskedServiceThatRunsGoesOn with whatever changes.
func TestAMaskedServiceThatRunsGoesOn(t *testing.T) {
	s := mask(serving(t), true)
	out := charmtest.Run(t, "update-status", s)
	require.Empty(t, out.Steps, "there is nothing to mend")
	const note = "; keepalived.service is masked, once ended it does not start again: systemctl unmask keepalived.service"
	require.Contains(t, out.Juju.Status.String(), "active: VIP ready")
	require.Contains(t, out.Juju.Status.Message, note)
	changed := charmtest.Run(t, "config-changed", option(out.State, "virtual_ip", vip+" 10.10.74.251"))
	require.Contains(t, changed.Host.Keepalived.Loaded, "10.10.74.251/32")
	require.Empty(t, changed.Stale())
	free := charmtest.Run(t, "update-status", mask(changed.State, false))
	require.NotContains(t, free.Juju.Status.Message, "masked")
}

// TestAMaskedServiceThatEndedIsNamed, the rest of what a hook does is done, and the hook
// after the mask is gone starts it.
func TestAMaskedServiceThatEndedIsNamed(t *testing.T) {
	s := serving(t)
	s.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
	ended := with(mask(s, true), func(s *charmtest.State) {
		s.Host.Keepalived.Running, s.Host.Keepalived.Loaded, s.Host.Holds = false, "", false
		delete(s.Host.Files, s.Layout().Fragment())
		s.Host.Files[s.Layout().Owed()+"/reload"] = ""
	})
	out := charmtest.Run(t, "update-status", ended)
	const want = "blocked: keepalived.service is masked, no VIP can be held here: systemctl unmask keepalived.service"
	require.Equal(t, want, out.Juju.Status.String())
	require.Equal(t, vip, out.Juju.Own("website:3")["hostname"], "clients are told")
	require.NotEmpty(t, out.Host.Files[s.Layout().Fragment()], "files are mended")
	require.Empty(t, out.Stale())
	again := charmtest.Run(t, "update-status", out.State)
	require.Empty(t, again.Steps, "there is nothing to do until the mask is gone")
	refused := charmtest.Run(t, "config-changed", with(option(again.State, "router_id", 300), func(s *charmtest.State) {
		s.Host.Files[s.Layout().Owed()+"/reload"] = ""
	}))
	require.Contains(t, refused.Juju.Status.String(), "; meanwhile keepalived.service is masked")

	back := charmtest.Run(t, "update-status", mask(again.State, false))
	require.True(t, back.Host.Keepalived.Running)
	require.Contains(t, back.Juju.Status.Message, "VIP ready")
	gone := charmtest.Run(t, "remove", run(t, again.State, "stop"))
	require.Empty(t, gone.Host.Below(layout.StateRoot))
}

func TestADisabledServiceIsEnabledAgain(t *testing.T) {
	out := charmtest.Run(t, "update-status", with(serving(t), func(s *charmtest.State) { s.Host.Disabled = true }))
	require.False(t, out.Host.Disabled)
	require.Empty(t, charmtest.Run(t, "update-status", out.State).Steps)
}

// TestAServiceThatWasMaskedBeforeTheCharmCame, as by a hardening role: the unit is ready
// as far as it can be, for the hook after the mask is gone.
func TestAServiceThatWasMaskedBeforeTheCharmCame(t *testing.T) {
	s := mask(option(charmtest.NewState(0), "virtual_ip", vip), true)
	for _, hook := range []string{"install", "config-changed", "start"} {
		s = run(t, s, hook)
	}
	require.Contains(t, s.Juju.Status.String(), "blocked: keepalived.service is masked")
	require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
	require.Contains(t, run(t, mask(s, false), "update-status").Juju.Status.Message, "VIP ready")
}
