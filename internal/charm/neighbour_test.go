package charm_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/layout"
)

// before is somebody's own keepalived.conf.
const before = `vrrp_instance mine {
    interface eth0
    virtual_router_id 90
    virtual_ipaddress {
        10.10.74.200/24
    }
}
`

// TestAFileOfTheOwnersBesideTheFragmentsIsNoApplication: the charm leaves as if it were not
// there, and yields to what it says.
func TestAFileOfTheOwnersBesideTheFragmentsIsNoApplication(t *testing.T) {
	const stray = layout.FragmentDir + "/90-mine.conf"
	before := charmtest.NewState(0)
	before.Host.Files[stray] = "vrrp_instance MINE {\n    interface eth0\n    virtual_router_id 99\n    virtual_ipaddress {\n        10.10.74.99/32\n    }\n}\n"
	s := run(t, option(before, "virtual_ip", vip), "install", "config-changed", "start")
	require.True(t, s.Host.Keepalived.Running)
	require.Equal(t, before.Host.String(), run(t, s, "stop", "remove").Host.String())
	for name, value := range map[string]any{"router_id": 99, "virtual_ip": "10.10.74.99"} {
		out := charmtest.Run(t, "config-changed", option(s, name, value))
		require.Contains(t, out.Juju.Status.String(), "blocked: option "+name)
		require.Contains(t, out.Juju.Status.String(), stray)
		require.Equal(t, s.Host.String(), out.Host.String())
	}
}

func TestAClashWithANeighbourBlocksTheSecondAndNamesTheFirst(t *testing.T) {
	for _, c := range []struct {
		option string
		value  any
		want   string
	}{
		{"router_id", 77, `blocked: option router_id is "77", must be another one, application other uses it on interface eth0; meanwhile VIP ready: holds 10.10.74.250`},
		{"virtual_ip", "10.10.74.251", `blocked: option virtual_ip is "10.10.74.251", must be a free address, 10.10.74.251 belongs to application other; meanwhile VIP ready: holds 10.10.74.250`},
	} {
		s := with(serving(t), func(s *charmtest.State) {
			s.Host.Files[layout.Layout{Application: "other"}.Fragment()] = "# Written by the Juju charm keepalived for application other.\nvrrp_instance charm_other {\ninterface eth0\nvirtual_router_id 77\n" +
				"virtual_ipaddress {\n169.254.77.112/32 dev lo\n}\nvirtual_ipaddress_excluded {\n10.10.74.251/32 dev eth0\n}\n}\n"
		})
		out := charmtest.Run(t, "config-changed", option(s, c.option, c.value))
		require.Equal(t, c.want, out.Juju.Status.String())
		require.Empty(t, out.Steps)
		require.Equal(t, s.Host.Files, out.Host.Files)
	}
}

func TestAClashOfOneOfSeveralInstancesNamesItsID(t *testing.T) {
	s := with(serving(t), addNeighbour)
	s.Juju.Options["virtual_ip"], s.Juju.Options["spread"] = "10.10.74.250 10.10.74.251", true
	out := charmtest.Run(t, "config-changed", option(s, "router_id", 76))
	require.Equal(t, `blocked: option router_id is "76", must be another one, application other uses 77 on interface eth0; meanwhile VIP ready: holds 10.10.74.250`, out.Juju.Status.String())
}

// TestWhatAUnitCouldNeverRunIsNeitherAnnouncedNorWaitedFor: every unit that serves goes
// on and says why, and a value that can be used is moved to.
func TestWhatAUnitCouldNeverRunIsNeitherAnnouncedNorWaitedFor(t *testing.T) {
	all := []int{0, 1, 2}
	for claim, c := range map[string]struct {
		beside []int // machines with a neighbour that has virtual router 77
		change map[string]any
		want   string
	}{
		"a neighbour's ID": {all, map[string]any{"router_id": 77}, `option router_id is "77", must be another one, application other uses it on interface eth0`},
		"a neighbour's ID among several": {all, map[string]any{"router_id": 76, "spread": true, "virtual_ip": threeVIPs},
			`option router_id is "76", must be another one, application other uses 77 on interface eth0`},
		"on a standby's machine alone": {all[2:], map[string]any{"router_id": 77}, "must be another one"},
		"IDs that run out":             {nil, map[string]any{"router_id": 254, "spread": true, "virtual_ip": threeVIPs}, `option router_id is "254", must be 253 at most`},
	} {
		t.Run(claim, func(t *testing.T) {
			cluster := newCluster(t, 3)
			for _, n := range c.beside {
				addNeighbour(cluster.Nodes[n].State)
			}
			runs := cluster.Nodes[0].Juju.Own("cluster:1")["vrrp"]
			cluster.Set(c.change)
			rest(t, cluster)
			require.Len(t, cluster.Serving(), 1)
			for n, node := range cluster.Nodes {
				if blocked := len(c.beside) != 1 || n == c.beside[0]; blocked {
					require.Contains(t, node.Juju.Status.String(), "blocked: option router_id")
					require.Contains(t, node.Juju.Status.Message, c.want)
					require.Empty(t, node.Juju.Own("cluster:1")["aside"])
					require.Empty(t, node.Juju.Own("cluster:1")["next"])
				}
				require.Equal(t, runs, node.Juju.Own("cluster:1")["vrrp"])
			}
			cluster.Set(map[string]any{"router_id": 30, "spread": false})
			rest(t, cluster)
			agreed(t, cluster, claim)
		})
	}
}

func TestAConfigurationFromBeforeGoesOnAndComesBack(t *testing.T) {
	s := charmtest.NewState(0)
	s.Host.Installed, s.Host.Files[layout.MainFile] = true, before
	s.Host.Keepalived = charmtest.Daemon{Running: true, Loaded: before}
	out := charmtest.Run(t, "config-changed", option(s, "virtual_ip", "10.10.74.250"))
	require.Equal(t, before, out.Host.Files[layout.ForeignFile])
	require.Contains(t, out.Host.Keepalived.Loaded, "vrrp_instance mine")
	require.Contains(t, out.Host.Keepalived.Loaded, "vrrp_instance charm_keepalived")
	require.NotContains(t, out.Host.Keepalived.Loaded, "script_user", "its scripts keep their own rules")
	require.Zero(t, out.Host.Keepalived.Starts, "it never stopped")
	gone := charmtest.Run(t, "remove", charmtest.Run(t, "stop", out.State).State)
	require.Equal(t, before, gone.Host.Files[layout.MainFile])
	require.Equal(t, before, gone.Host.Keepalived.Loaded)
	require.True(t, gone.Host.Keepalived.Running)
	require.Zero(t, gone.Host.Keepalived.Starts)
}

func TestAClashWithAConfigurationFromBeforeBlocks(t *testing.T) {
	s := charmtest.NewState(0)
	s.Host.Installed, s.Host.Files[layout.MainFile] = true, before
	out := charmtest.Run(t, "config-changed", option(option(s, "virtual_ip", "10.10.74.250"), "router_id", 90))
	require.Equal(t, `blocked: option router_id is "90", must be another one, the keepalived.conf from before the charm uses it on interface eth0`,
		out.Juju.Status.String())
	require.Equal(t, before, out.Host.Files[layout.MainFile])
}
