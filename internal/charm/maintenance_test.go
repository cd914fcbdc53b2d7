package charm_test

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
)

// holding gives a serving holder one peer that serves, healthy or not.
func holding(t *testing.T, healthy string) charmtest.State {
	s := serving(t)
	peer := juju.Unit{Application: "keepalived", Number: 1}
	s.Juju.Relate("cluster", "cluster:1", peer)
	s.Juju.Relations["cluster"]["cluster:1"][peer] = juju.Databag{"principal": "haproxy/1", "rank": "1", "healthy": healthy,
		"protocol": "1", "vrrp": "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112", "address": "10.10.74.12", "knows": "0:1,1:1"}
	s = charmtest.Run(t, "cluster-relation-changed", s).State
	s.Host.Holds = true
	return s
}

func act(t *testing.T, name string, s charmtest.State) charmtest.Out {
	t.Helper()
	out := charmtest.Run(t, "actions/"+name, s)
	require.NoError(t, out.Err)
	return out
}

func TestFailoverHandsOver(t *testing.T) {
	out := act(t, "failover", holding(t, "true"))
	require.Empty(t, out.Juju.Failure)
	require.Equal(t, "keepalived/0", out.Juju.Results["from"])
	require.Contains(t, out.Juju.Results["summary"], "handed over: VIP ready: standby for 10.10.74.250")
	require.Equal(t, "50ms", out.Juju.Results["gap"])
	require.False(t, out.Host.Holds)
}

func TestNobodyIsPutWhereNobodyHealthyIs(t *testing.T) {
	for claim, s := range map[string]charmtest.State{
		"a sick peer": holding(t, "false"),
		"an unknown":  holding(t, ""),
		"alone":       with(serving(t), func(s *charmtest.State) { s.Host.Holds = true }),
	} {
		for _, action := range []string{"failover", "pause"} {
			out := act(t, action, s)
			require.Contains(t, out.Juju.Failure, "no other unit", claim)
			require.Equal(t, s.Host.String(), out.Host.String(), claim)
		}
	}
	standby := holding(t, "true")
	standby.Host.Holds = false
	require.Contains(t, act(t, "failover", standby).Juju.Failure, "this unit holds nothing")
}

// peer changes what keepalived/1 told.
func peer(s charmtest.State, key, value string) charmtest.State {
	return with(s, func(s *charmtest.State) { s.Juju.Relations["cluster"]["cluster:1"][unit(1)][key] = value })
}

func TestWhoTakesNothingOverIsNoSuccessor(t *testing.T) {
	s := holding(t, "true")
	for want, s := range map[string]charmtest.State{
		"paused":                  peer(s, "aside", "paused"),
		"stands aside":            peer(s, "aside", "differs"),
		"no verdict":              peer(s, "healthy", ""),
		"check fails":             peer(s, "healthy", "false"),
		"serves nothing":          peer(s, "vrrp", ""),
		"machine does not answer": with(s, func(s *charmtest.State) { s.Host.Silent = []netip.Addr{netip.MustParseAddr("10.10.74.12")} }),
	} {
		why := "no other unit can take the virtual IPs over (keepalived/1: " + want + ")"
		for action, failure := range map[string]string{
			"pause": "cannot pause: " + why + "; force=true pauses all the same", "failover": "cannot fail over: " + why,
		} {
			out := act(t, action, s)
			require.Equal(t, failure, out.Juju.Failure)
			require.Empty(t, out.Steps)
		}
	}
}

func TestAPeerForWhichOnlyAProxyAnswersIsNoSuccessor(t *testing.T) {
	s := with(peer(holding(t, "true"), "macs", "52:54:00:74:00:0c"), func(s *charmtest.State) {
		s.Host.Proxied = []netip.Addr{netip.MustParseAddr("10.10.74.12")}
	})
	require.Contains(t, act(t, "failover", s).Juju.Failure, "keepalived/1: machine does not answer")
	require.Contains(t, act(t, "status", s).Juju.Results["peer-1"], "machine answers: no")
}

func TestOneSuccessorIsEnough(t *testing.T) {
	s := peer(holding(t, "true"), "aside", "paused")
	bag := maps.Clone(s.Juju.Relations["cluster"]["cluster:1"][unit(1)])
	bag["aside"], bag["rank"], bag["address"] = "", "2", "10.10.74.13"
	s.Juju.Relations["cluster"]["cluster:1"][unit(2)] = bag
	s.Host.Silent = []netip.Addr{netip.MustParseAddr("10.10.74.12")}
	require.Empty(t, act(t, "failover", s).Juju.Failure)
	bag["healthy"] = "false"
	require.Equal(t, "cannot fail over: no other unit can take the virtual IPs over (keepalived/1: paused; keepalived/2: check fails)",
		act(t, "failover", s).Juju.Failure)
}

func TestFailoverWithPreemptIsRefusedWhereItWouldReturn(t *testing.T) {
	s := charmtest.Run(t, "config-changed", option(holding(t, "true"), "preempt", true)).State
	out := act(t, "failover", s)
	require.Equal(t, "cannot fail over: with preempt=true the virtual IPs return to this unit at once, it ranks highest; pause keeps them away", out.Juju.Failure)
	require.Empty(t, out.Steps)
	for claim, s := range map[string]charmtest.State{
		"a peer that ranks higher keeps them": with(peer(s, "rank", "0"), func(s *charmtest.State) {
			s.Juju.Relations["cluster"]["cluster:1"][s.Juju.Unit]["rank"] = "1"
		}),
		"a unit whose check fails does not take them back": with(s, func(s *charmtest.State) { s.Host.Check.Healthy = false }),
		"without preempt they stay":                        option(s, "preempt", false),
	} {
		require.Empty(t, act(t, "failover", s).Juju.Failure, claim)
	}
}

func TestAPauseSurvivesEverythingButResumeAndRemoval(t *testing.T) {
	s := holding(t, "false")
	s.Host.Holds = false
	s.Juju.Parameters = map[string]any{"force": true}
	s = act(t, "pause", s).State
	require.Empty(t, s.Juju.Failure)
	for _, hook := range []string{"update-status", "config-changed", "upgrade-charm", "start", "leader-elected"} {
		out := charmtest.Run(t, hook, s)
		require.Equal(t, "maintenance: paused, takes no VIP: juju run keepalived/0 resume", out.Juju.Status.String(), hook)
		require.Contains(t, out.Host.Checkers["keepalived"].Config, `"aside": "paused"`)
		require.NotContains(t, out.Host.Checkers["keepalived"].Config, "watch")
		s = out.State
	}
	require.Contains(t, act(t, "pause", s).Juju.Results["summary"], "paused already")
	s.Juju.Parameters = nil
	resumed := act(t, "resume", s)
	require.NotContains(t, resumed.Host.Checkers["keepalived"].Config, "aside")
	require.NotContains(t, resumed.Host.Files, layout.Layout{Application: "keepalived"}.Paused())
	require.Contains(t, act(t, "resume", resumed.State).Juju.Results["summary"], "not paused")
	require.Empty(t, run(t, s, "stop", "remove").Host.Below(layout.StateRoot))
}

func TestARestartIsARestart(t *testing.T) {
	t.Parallel()
	s := serving(t)
	out := act(t, "restart", s)
	require.Equal(t, s.Host.Keepalived.Starts+1, out.Host.Keepalived.Starts)
}

// TestTheActionStatusNamesNoHolderThatIsSilent: a unit that is paused goes by who is heard.
func TestTheActionStatusNamesNoHolderThatIsSilent(t *testing.T) {
	s := holding(t, "true")
	s.Host.Since, s.Juju.Parameters = 1e9, map[string]any{"force": true}
	s = act(t, "pause", s).State
	s.Juju.Parameters = nil
	heard := facts.Heard{Instance: "charm_keepalived", Address: netip.MustParseAddr("10.10.74.12"), Priority: 203, Last: time.Unix(1e9+10, 0)}
	for speaks, holder := range map[bool]string{true: "keepalived/1", false: "unknown"} {
		heard.Speaks = speaks
		s.Host.Check.Heard = []facts.Heard{heard}
		require.Equal(t, holder, act(t, "status", s).Juju.Results["vip-1-holder"])
	}
}

func TestTheActionStatusNamesTheUnitThatServesOnTheHoldersMachine(t *testing.T) {
	s := charmtest.NewState(5)
	s.Juju.Options["virtual_ip"], s.Host.Since = vip, 1e9
	bags := s.Juju.Relations["cluster"]["cluster:1"]
	bags[unit(0)] = juju.Databag{"principal": "haproxy/0", "rank": "0", "protocol": "1", "addresses": "10.10.74.11", "knows": "0:0,3:1,5:1"}
	bags[unit(3)] = juju.Databag{"principal": "haproxy/3", "rank": "3", "protocol": "1", "addresses": "10.10.74.11", "address": "10.10.74.11", "vrrp": "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112", "knows": "3:1,5:1", "healthy": "true"}
	s = run(t, s, "install", "config-changed", "cluster-relation-changed", "update-status")
	s.Host.Check.Heard = []facts.Heard{{Instance: "charm_keepalived", Address: netip.MustParseAddr("10.10.74.11"), Priority: 250, Last: time.Now(), Speaks: true}}
	require.Equal(t, "keepalived/3", act(t, "status", s).Juju.Results["vip-1-holder"])
}

func TestTheActionStatusAsksAPeerAtEveryAddressThatItTold(t *testing.T) {
	const second = "10.10.74.112"
	for claim, c := range map[string]struct{ address, addresses, silent, answers string }{
		"all are silent":             {"10.10.74.12", "10.10.74.12", "10.10.74.12", "no"},
		"one of them answers":        {"10.10.74.12", "10.10.74.12," + second, "10.10.74.12", "yes"},
		"the last one does not":      {"10.10.74.12", "10.10.74.12," + second, second, "yes"},
		"it serves nothing":          {"", "10.10.74.12", "", "yes"},
		"none is on a segment here":  {"192.0.2.12", "192.0.2.12", "", "unknown"},
		"one is, and it is silent":   {"10.10.74.12", "192.0.2.12", "10.10.74.12", "no"},
		"it told no address at all":  {"", "", "", "unknown"},
		"what is not here is silent": {"192.0.2.12", "10.10.74.12", "192.0.2.12", "yes"},
	} {
		s := holding(t, "true")
		bag := s.Juju.Relations["cluster"]["cluster:1"][unit(1)]
		bag["address"], bag["addresses"] = c.address, c.addresses
		if a, err := netip.ParseAddr(c.silent); err == nil {
			s.Host.Silent = []netip.Addr{a}
		}
		require.Contains(t, act(t, "status", s).Juju.Results["peer-1"], "machine answers: "+c.answers+";", claim)
	}
}
