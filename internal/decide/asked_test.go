package decide_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/step"
)

// TestClusteredIsToldOfVirtualIPsInAllVirtualRouters: with spread each has one of its own, which
// this unit need not hold.
func TestClusteredIsToldOfVirtualIPsInAllVirtualRouters(t *testing.T) {
	const first, second = "10.10.74.250", "10.10.74.251"
	runs := func(instance, address string, state keepalived.State) keepalived.InstanceState {
		return keepalived.InstanceState{Name: instance, State: state, Addresses: []netip.Addr{netip.MustParseAddr(address)}}
	}
	one, two := runs("charm_keepalived", first, keepalived.Master), runs("charm_keepalived_1", second, keepalived.Backup)
	both := first + " " + second
	ask := func(vips ...string) *hacluster.Request {
		r := hacluster.Request{State: hacluster.Wanted}
		for _, v := range vips {
			r.VirtualIPs = append(r.VirtualIPs, hacluster.VirtualIP{Prefix: netip.PrefixFrom(netip.MustParseAddr(v), 32)})
		}
		return &r
	}
	for claim, c := range map[string]struct {
		before    string // the virtual IPs that the unit went by
		instances []keepalived.InstanceState
		change    func(*facts.Observed)
		from, to  string
	}{
		"both run":                             {both, []keepalived.InstanceState{one, two}, nil, "", "yes"},
		"both run, and it was told":            {both, []keepalived.InstanceState{one, two}, nil, "yes", "yes"},
		"the second runs without its address":  {both, []keepalived.InstanceState{one, runs("charm_keepalived_1", first, keepalived.Backup)}, nil, "yes", ""},
		"the second is not told of, which ran": {both, []keepalived.InstanceState{one}, nil, "yes", "yes"},
		"and was not told":                     {both, []keepalived.InstanceState{one}, nil, "", ""},
		"the second is new, and does not run":  {first, []keepalived.InstanceState{one}, nil, "yes", ""},
		"the daemon has ended":                 {both, nil, func(o *facts.Observed) { o.Machine.Active = false }, "yes", "yes"},
		"the change is not over":               {both, []keepalived.InstanceState{one, two}, func(o *facts.Observed) { o.Machine.Owed = []step.FollowUp{step.Unpin} }, "", ""},
		"nor is it, and it was told":           {both, []keepalived.InstanceState{one, two}, func(o *facts.Observed) { o.Machine.Owed = []step.FollowUp{step.Unpin} }, "yes", "yes"},
		"the request is for one of them":       {both, []keepalived.InstanceState{one, two}, func(o *facts.Observed) { o.Relations[len(o.Relations)-1].Request = ask(first) }, "yes", ""},
		"there is no request":                  {both, []keepalived.InstanceState{one, two}, func(o *facts.Observed) { o.Relations[len(o.Relations)-1].Request = nil }, "yes", ""},
	} {
		before := spreading(c.before, applied.Record{})
		o := spreading(both, decidetest.Record(t, before))
		o.Machine.Took = []config.Given{config.Read(before.Options.Raw)}
		o.Machine.Active, o.Machine.Instances = true, c.instances
		own := juju.Databag{}
		if c.from != "" {
			own["clustered"] = c.from
		}
		o.Relations = append(o.Relations, facts.Relation{ID: "ha:7", Endpoint: endpoint.HA, Own: own, Request: ask(first, second)})
		if c.change != nil {
			c.change(&o)
		}
		d, err := decidetest.Desire(o)
		require.NoError(t, err)
		d.TellClustered(decidetest.Typed(o))
		if told, changes := d.Publish["ha:7"]["clustered"]; changes {
			require.Equal(t, c.to, told, claim)
		} else {
			require.Equal(t, c.to, c.from, claim)
		}
	}
}
