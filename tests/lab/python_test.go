package lab

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/controller"
)

// TestTheStandInHasTheEndpointsAndOptionsOfThePythonCharm: those decide whether
// Juju accepts the upgrade, and which values survive it.
func TestTheStandInHasTheEndpointsAndOptionsOfThePythonCharm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "python.charm")
	require.NoError(t, packPython(file))
	c, err := ReadCharm(file)
	require.NoError(t, err)
	require.Equal(t, "keepalived", c.Meta.Name)
	require.True(t, c.Meta.Subordinate)
	require.Empty(t, c.Meta.Actions)
	require.Equal(t, map[string]controller.Option{
		"virtual_ip":           {Type: "string", Default: ""},
		"vip_hostname":         {Type: "string", Default: ""},
		"port":                 {Type: "int", Default: int64(443)},
		"router_id":            {Type: "int", Default: int64(23)},
		"network_interface":    {Type: "string", Default: ""},
		"healthcheck_interval": {Type: "int", Default: int64(2)},
	}, c.Meta.Options)
	endpoints := map[string]controller.Role{}
	for _, e := range c.Meta.Endpoints {
		endpoints[e.Name+" "+e.Interface+" "+string(e.Scope)] = e.Role
	}
	require.Equal(t, map[string]controller.Role{
		"website http global":                controller.Provider,
		"loadbalancer public-address global": controller.Provider,
		"juju-info juju-info container":      controller.Requirer,
		"lb-sink http global":                controller.Requirer,
	}, endpoints)
}
