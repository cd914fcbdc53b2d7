package decide_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/show"
)

// TestAUnitThatIsKeptOutNamesWhomItWaitsFor: that one may be blocked, or without an agent.
func TestAUnitThatIsKeptOutNamesWhomItWaitsFor(t *testing.T) {
	peer := juju.Unit{Application: "keepalived", Number: 1}
	told := endpoint.Member{Principal: juju.Unit{Application: "haproxy", Number: 1}, Rank: 1, Address: netip.MustParseAddr("10.10.74.12"),
		Word: running(t, 23, false, "")}
	for claim, c := range map[string]struct {
		mode, runs string
		bag        juju.Databag
		want       string
	}{
		"an unknown unit": {"unicast", "", nil, "waits for another unit to tell of itself"},
		"an untold unit":  {"unicast", "", juju.Databag{"ingress-address": "10.10.74.12"}, "waits for keepalived/1 to tell of itself"},
		"a unit that does not send here": {"unicast", "version=3 mode=unicast vrid=23 interval=200ms anchor=169.254.23.112", told.Databag(),
			"waits for keepalived/1 to send advertisements here"},
		"a unit that runs something else": {"multicast", "version=2 mode=multicast vrid=23 interval=1.5s anchor=169.254.23.112", told.Databag(),
			"waits for keepalived/1 to run the same"},
	} {
		t.Run(claim, func(t *testing.T) {
			o := decidetest.Observed()
			o.Options.Raw["vrrp_mode"], o.Planned = c.mode, 2
			if c.bag != nil {
				if c.runs != "" {
					c.bag["vrrp"] = c.runs
				}
				o.Relations[2].Members[peer] = facts.ReadMember(c.bag)
			}
			d, err := decidetest.Desire(o)
			require.NoError(t, err)
			o.Machine.NotifierActive = true
			o.Machine.Instances = []keepalived.InstanceState{{Name: d.Layout.Instance(), Interface: "eth0", State: keepalived.Fault}}
			require.Equal(t, "waiting: takes no part yet, "+c.want, show.Status(d, o.Machine).String())
		})
	}
}
