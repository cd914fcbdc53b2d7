package charm_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
)

// TestAUnitWhoseBaseIsUpgradedTellsThatItServesNothing: an operator would pause the last one
// that does, and a change would wait for it.
func TestAUnitWhoseBaseIsUpgradedTellsThatItServesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	h := c.Serving()[0]
	for _, n := range c.Nodes {
		n.Host.Check.Known, n.Host.Check.Healthy = true, true
	}
	rest(t, c)
	u := c.Nodes[1-h.Juju.Unit.Number]
	told := maps.Clone(u.Juju.Own("cluster:1"))
	require.Equal(t, "true", told["healthy"])
	u.Await("pre-series-upgrade")
	work(c, u)
	bag := u.Juju.Own("cluster:1")
	for _, key := range []string{"vrrp", "aside", "healthy", "lists", "address", "macs"} {
		require.Empty(t, bag[key], key)
	}
	for _, key := range []string{"principal", "rank", "addresses", "protocol", "ingress-address", "knows"} {
		require.Equal(t, told[key], bag[key], key)
	}
	in := h.State.Clone()
	in.Juju.Relations["cluster"]["cluster:1"][u.Juju.Unit] = maps.Clone(bag)
	for _, action := range []string{"pause", "failover"} {
		require.Contains(t, charmtest.Run(t, "actions/"+action, in).Juju.Failure, "serves nothing", action)
	}
	c.Set(map[string]any{"router_id": 42})
	work(c, h)
	require.Contains(t, h.Juju.Own("cluster:1")["vrrp"], "vrid=42 ", "nobody waits for it")
	u.Pending = append([]string{"post-series-upgrade"}, u.Pending...)
	rest(t, c)
	agreed(t, c, "it is back")
}

// TestAUnitWhoseBaseIsUpgradedHandsOverWhetherJujuCanBeAskedOrNot.
func TestAUnitWhoseBaseIsUpgradedHandsOverWhetherJujuCanBeAskedOrNot(t *testing.T) {
	s := with(run(t, withPeer(serving(t)), "cluster-relation-changed"), func(s *charmtest.State) { s.Juju.Away = true })
	s = run(t, s, "pre-series-upgrade")
	require.False(t, s.Host.Keepalived.Running)
	require.NotEmpty(t, s.Juju.Own("cluster:1")["vrrp"])
	s.Juju.Away = false
	require.Empty(t, run(t, s, "update-status").Juju.Own("cluster:1")["vrrp"], "a hook that Juju had on its way tells it")
}

// TestAnUpgradeOfTheBaseIsOverInTheNextBoot: post-series-upgrade may have failed, and somebody
// gone on without it. A mark of the revision before tells of no boot.
func TestAnUpgradeOfTheBaseIsOverInTheNextBoot(t *testing.T) {
	t.Parallel()
	for claim, c := range map[string]struct {
		mark   string
		serves bool
	}{"over": {"", true}, "not told when it began": {"until post-series-upgrade\n", false}} {
		k := newCluster(t, 2)
		u := k.Nodes[1]
		hook := func(names ...string) {
			u.Pending = names
			work(k, u)
		}
		hook("pre-series-upgrade", "update-status", "config-changed")
		require.False(t, u.Host.Keepalived.Running, "hooks that were due: %s", claim)
		if c.mark != "" {
			u.Host.Files[u.Layout().Upgrading()] = c.mark
		}
		k.PowerOff(u)
		k.PowerOn(u)
		hook("update-status")
		require.Equal(t, c.serves, u.Host.Keepalived.Running, claim)
		rest(t, k)
		require.Equal(t, c.serves, u.Host.Keepalived.Running, claim)
		hook("post-series-upgrade")
		rest(t, k)
		agreed(t, k, claim)
		require.NotContains(t, u.Host.Files, u.Layout().Upgrading(), claim)
	}
}

// TestAMarkOfAnUpgradeOfTheBaseThatIsSpoiltKeepsNoUnitOut, as a power cut leaves it.
func TestAMarkOfAnUpgradeOfTheBaseThatIsSpoiltKeepsNoUnitOut(t *testing.T) {
	for _, text := range []string{"", "\x00\x00", "until post-series-upgrade, since b"} {
		s := run(t, serving(t), "pre-series-upgrade")
		require.Contains(t, s.Host.Files, s.Layout().Upgrading())
		s.Host.Files[s.Layout().Upgrading()] = text
		s.Host.Boots++
		s = run(t, s, "start")
		require.Contains(t, s.Juju.Status.Message, "VIP ready", "%q", text)
		require.NotContains(t, s.Host.Files, s.Layout().Upgrading())
	}
}

// TestAnUpgradeOfTheBaseIsOverThoughTheUnitCannotServe yet: every later hook of that boot would
// go on to hand over.
func TestAnUpgradeOfTheBaseIsOverThoughTheUnitCannotServe(t *testing.T) {
	for claim, set := range map[string]func(h *charmtest.Host, on bool){
		"keepalived refuses the configuration": func(h *charmtest.Host, on bool) {
			if h.Refuse = ""; on {
				h.Refuse = "vrrp_instance"
			}
		},
		"the package cannot be had": func(h *charmtest.Host, on bool) {
			if h.Gone = on; on {
				h.Installed, h.Keepalived = false, charmtest.Daemon{}
			}
		},
	} {
		t.Run(claim, func(t *testing.T) {
			s := run(t, serving(t), "pre-series-upgrade")
			s = run(t, with(s, func(s *charmtest.State) { set(&s.Host, true) }), "post-series-upgrade", "update-status")
			require.NotContains(t, s.Host.Files, s.Layout().Upgrading())
			require.Contains(t, s.Juju.Status.String(), "blocked: keepalived ")
			s = run(t, with(s, func(s *charmtest.State) { set(&s.Host, false) }), "update-status")
			require.Contains(t, s.Juju.Status.Message, "VIP ready")
			require.Empty(t, s.Stale())
		})
	}
}
