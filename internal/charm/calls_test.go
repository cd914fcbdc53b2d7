package charm_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// mostCalls is how many hook tools a hook may start beyond one read per remote
// unit: each costs 10 to 40 ms on a real machine.
const mostCalls = 18

func TestAHookStartsFewTools(t *testing.T) {
	for _, peers := range []int{0, 1, 2, 10} {
		s := serving(t)
		for n := range peers {
			s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(n+1)] = endpoint.Member{
				Principal: juju.Unit{Application: "haproxy", Number: n + 1}, Rank: n + 1}.Databag()
		}
		changed := option(option(s, "virtual_ip", "10.10.74.251"), "vip_hostname", "api.example.com")
		out := charmtest.Run(t, "config-changed", changed)
		require.NotEmpty(t, out.Steps)
		require.LessOrEqual(t, out.Calls, mostCalls+peers, "config-changed that changes everything, %d peers", peers)
		idle := charmtest.Run(t, "update-status", run(t, s, "cluster-relation-changed"))
		require.LessOrEqual(t, idle.Calls, 13+peers, "update-status, %d peers", peers)
	}
}

func TestTheVersionIsToldAgainWhenItIsAnother(t *testing.T) {
	s := serving(t)
	s.Juju.Version = ""
	for _, c := range []struct {
		claim, hook string
		change      func(s *charmtest.State)
		want        string
	}{
		{"it was told", "update-status", func(*charmtest.State) {}, ""},
		{"the package was upgraded", "update-status", func(s *charmtest.State) { s.Host.Version = "2.3.3" }, "2.3.3"},
		{"other hooks leave it to update-status", "config-changed", func(s *charmtest.State) { s.Host.Version = "2.3.4" }, ""},
		{"the charm is another", "upgrade-charm", func(*charmtest.State) {}, "2.2.7"},
		{"the machine was started", "start", func(*charmtest.State) {}, "2.2.7"},
		{"it could not be noted", "update-status", func(s *charmtest.State) { s.Host.VersionTold = "" }, "2.2.7"},
	} {
		require.Equal(t, c.want, run(t, with(s, c.change), c.hook).Juju.Version, c.claim)
	}
	again := run(t, s, "upgrade-charm", "start")
	require.Equal(t, s.Host.VersionNotes, again.Host.VersionNotes, "what is noted already is not written")
	full := run(t, with(s, func(s *charmtest.State) { s.Host.Version, s.Host.Full = "2.3.3", true }), "update-status")
	require.Equal(t, "2.3.3", full.Juju.Version)
	require.Equal(t, "2.2.7", full.Host.VersionTold)
	ended := run(t, s, "stop", "remove")
	require.Empty(t, ended.Host.VersionTold)
}

// BenchmarkHookThatChangesNothing is update-status on a unit that serves, without
// the cost of processes.
func BenchmarkHookThatChangesNothing(b *testing.B) {
	s := charmtest.NewState(0)
	s.Juju.Options["virtual_ip"] = vip
	s.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
	s.Juju.Relate(endpoint.LoadBalancer, "loadbalancer:4", juju.Unit{Application: "master"})
	s = charmtest.Run(b, "update-status", charmtest.Run(b, "config-changed", s).State).State
	b.ReportAllocs()
	for b.Loop() {
		if out := charmtest.Run(b, "update-status", s); len(out.Steps) > 0 {
			b.Fatal("it changed something")
		}
	}
}
