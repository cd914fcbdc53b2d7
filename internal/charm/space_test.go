package charm_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
)

// TestASpaceWithoutAnAddressHereChangesNothing that the unit serves or tells; the status
// says what is missing.
func TestASpaceWithoutAnAddressHereChangesNothing(t *testing.T) {
	unbound := func(s charmtest.State) charmtest.State {
		return with(s, func(s *charmtest.State) { s.Juju.Ingress, s.Juju.Bind = nil, nil })
	}
	const says = "active: VIP ready: holds 10.10.74.250; the network space of endpoint cluster has no address on this machine: " +
		"juju bind keepalived cluster=SPACE, see juju spaces"
	s := serving(t)
	for _, hook := range []string{"update-status", "config-changed", "cluster-relation-changed", charmtest.Refresh} {
		out := charmtest.Run(t, hook, unbound(s))
		require.Empty(t, out.Steps, hook)
		require.Equal(t, says, out.Juju.Status.String(), hook)
		require.Equal(t, s.Juju.Own("cluster:1"), out.Juju.Own("cluster:1"), hook)
	}
	fresh := charmtest.NewState(0)
	fresh.Juju.Options["virtual_ip"] = vip
	begun := run(t, unbound(fresh), "install", "config-changed", "start", "update-status")
	require.Contains(t, begun.Juju.Status.Message, "the network space of endpoint cluster has no address", "it serves all the same")
	bound := with(begun, func(s *charmtest.State) { s.Juju.Ingress, s.Juju.Bind = fresh.Juju.Ingress, fresh.Juju.Bind })
	require.NotContains(t, run(t, bound, "update-status").Juju.Status.Message, "space")
}
