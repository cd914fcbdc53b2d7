package charm_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
)

// TestSpreadMovesAwayFromTheEndOfTheRange while a virtual IP is added, which has no room
// before all units have moved.
func TestSpreadMovesAwayFromTheEndOfTheRange(t *testing.T) {
	for claim, changes := range map[string][]map[string]any{
		"both at once":                          {{"router_id": 10, "virtual_ip": threeVIPs + " 10.10.74.253"}},
		"the IDs first":                         {{"router_id": 10}, {"virtual_ip": threeVIPs + " 10.10.74.253"}},
		"the virtual IP first":                  {{"virtual_ip": threeVIPs + " 10.10.74.253"}, {"router_id": 10}},
		"there and back":                        {{"router_id": 10, "virtual_ip": threeVIPs + " 10.10.74.253"}, {"router_id": 252}},
		"another one in its stead, which waits": {{"virtual_ip": "10.10.74.250 10.10.74.251 10.10.74.253"}, {"router_id": 10}},
	} {
		t.Run(claim, func(t *testing.T) {
			c := newCluster(t, 3)
			c.Set(map[string]any{"virtual_ip": threeVIPs, "router_id": 253, "spread": true})
			rest(t, c)
			rest(t, c)
			for _, change := range changes {
				c.Set(change)
				rest(t, c)
			}
			rest(t, c)
			require.Zero(t, c.Gaps)
			for _, n := range c.Nodes {
				require.Empty(t, n.Stale())
				require.Regexp(t, "^active: VIP ready: holds 1 of [34] VIPs|^active: VIP ready: holds 2 of 4 VIPs", n.Juju.Status.String())
				require.NotContains(t, n.Juju.Status.Message, "moving", n.Juju.Status.String())
			}
		})
	}
}

// TestTheWordsNameTheBoundThatHolds for all virtual IPs, not for the first that has no room.
func TestTheWordsNameTheBoundThatHolds(t *testing.T) {
	many := ""
	for n := range 256 {
		many += fmt.Sprintf("10.%d.7.9 ", n)
	}
	for _, c := range []struct {
		vips, said string
		id         int
	}{
		{threeVIPs + " 10.10.74.253", `blocked: option router_id is "254", must be 252 at most: spread gives each virtual IP a virtual router ID, counting up to 255`, 254},
		{threeVIPs + " 10.10.74.253", `blocked: option router_id is "255", must be 252 at most`, 255},
		{many, `blocked: option spread is "true", must be false: it gives each virtual IP a virtual router ID, of which there are 255`, 23},
	} {
		s := option(option(option(serving(t), "virtual_ip", c.vips), "router_id", c.id), "spread", true)
		require.Contains(t, charmtest.Run(t, "config-changed", s).Juju.Status.String(), c.said)
	}
}
