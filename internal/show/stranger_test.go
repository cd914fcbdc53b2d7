package show

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/vrrp"
)

// TestNoUnitIsNamedAsHolderThatIsNot: the daemon tells the priority that it follows, the
// health checker who sent it.
func TestNoUnitIsNamedAsHolderThatIsNot(t *testing.T) {
	theirs := vrrp.Base(1) + vrrp.HealthyWeight + vrrp.HolderWeight
	from := func(address string, p vrrp.Priority) facts.Heard {
		return facts.Heard{Instance: "charm_keepalived", Address: netip.MustParseAddr(address), Priority: p, Speaks: true}
	}
	foreign := func(h facts.Heard) facts.Heard {
		h.Foreign = true
		return h
	}
	silent := func(h facts.Heard) facts.Heard {
		h.Speaks = false
		return h
	}
	const unit, other = "10.0.0.2", "10.0.0.99"
	const named, unnamed, lost = "active: VIP ready: standby for 10.0.0.250, holder keepalived/1", "active: VIP ready: standby for 10.0.0.250",
		"blocked: nobody holds 10.0.0.250: 10.0.0.99 has taken router_id 23: try juju config keepalived router_id=24"
	for claim, c := range map[string]struct {
		follows vrrp.Priority
		heard   []facts.Heard
		want    string
	}{
		"the unit itself":                             {theirs, []facts.Heard{from(unit, theirs)}, named},
		"the agent heard nobody":                      {theirs, nil, named},
		"the agent has not heard of a move yet":       {theirs, []facts.Heard{from("10.0.0.3", 202)}, named},
		"over IPv6":                                   {theirs, []facts.Heard{from("fe80::2", theirs)}, named},
		"a stranger with its priority":                {theirs, []facts.Heard{foreign(from(other, theirs))}, lost},
		"a stranger with another priority":            {255, []facts.Heard{foreign(from(other, 255))}, lost},
		"a stranger with the unit's address list":     {theirs, []facts.Heard{from(other, theirs)}, unnamed},
		"a stranger beside the unit":                  {theirs, []facts.Heard{foreign(from(other, 100)), from(unit, theirs)}, named},
		"a stranger of the same priority beside it":   {theirs, []facts.Heard{foreign(from(other, theirs)), from(unit, theirs)}, named},
		"a stranger where the unit was a moment ago":  {theirs, []facts.Heard{foreign(from(other, theirs)), silent(from(unit, theirs))}, lost},
		"a stranger that is gone":                     {theirs, []facts.Heard{silent(foreign(from(other, theirs)))}, named},
		"a stranger whose advertisements are dropped": {theirs, []facts.Heard{foreign(from(other, 100))}, unnamed},
	} {
		h := holding("10.0.0.250").standby(c.follows)
		h.Routers[0].Peers[0].Addresses = []netip.Addr{netip.MustParseAddr(unit)}
		for n := range c.heard {
			c.heard[n].Instance = h.state.Name
		}
		h.Check.Heard = c.heard
		require.Equal(t, c.want, Status(*h.Desired, *h.Machine).String(), claim)
	}
	// In a group with units of the Python charm lists differ while they change.
	h := holding("10.0.0.250").standby(255)
	h.Routers[0].Run.Anchor = netip.MustParseAddr("10.0.0.250")
	h.Check.Heard = []facts.Heard{foreign(from(other, 255))}
	h.Check.Heard[0].Instance = h.state.Name
	require.Equal(t, unnamed, Status(*h.Desired, *h.Machine).String())
}

// TestAStrangerThatTookOneOfSeveralRoutersIsTold: with option spread.
func TestAStrangerThatTookOneOfSeveralRoutersIsTold(t *testing.T) {
	h := holding("10.0.0.250", "10.0.0.251")
	h.spreadOut(0, 1)
	second := h.Routers[1]
	h.Routers[1].Run.VirtualRouterID, h.Routers[1].Run.Anchor = 24, vrrp.Anchor(24, false)
	h.Instances[1].MasterPriority = 255
	h.Check.Heard = []facts.Heard{{Instance: h.Name(second), Address: stranger.Address, Priority: 255, Foreign: true, Speaks: true}}
	h.Found, h.Free = []conflict.Finding{{Kind: conflict.RouterTaken, Host: stranger, Said: vrrp.Advertisement{VirtualRouterID: 24}}}, 40
	require.Equal(t, "blocked: nobody holds 10.0.0.251: "+stranger.String()+" has taken router_id 24: try juju config keepalived router_id=40",
		Status(*h.Desired, *h.Machine).String())
}
