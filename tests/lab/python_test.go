package lab

import (
	"path/filepath"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
)

// TestTheStandInHasTheEndpointsAndOptionsOfThePythonCharm: those decide whether
// Juju accepts the upgrade, and which values survive it.
func TestTheStandInHasTheEndpointsAndOptionsOfThePythonCharm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "python.charm")
	require.NoError(t, packPython(file))
	c, err := charm.ReadCharmArchive(file)
	require.NoError(t, err)
	require.Equal(t, "keepalived", c.Meta().Name)
	require.True(t, c.Meta().Subordinate)
	require.Empty(t, c.Actions().ActionSpecs)
	options := map[string]any{}
	for name, o := range c.Config().Options {
		options[name+" "+o.Type] = o.Default
	}
	require.Equal(t, map[string]any{
		"virtual_ip string":        "",
		"vip_hostname string":      "",
		"port int":                 int64(443),
		"router_id int":            int64(23),
		"network_interface string": "",
		"healthcheck_interval int": int64(2),
	}, options)
	endpoints := map[string]charm.RelationRole{}
	for name, e := range c.Meta().CombinedRelations() {
		endpoints[name+" "+e.Interface+" "+string(e.Scope)] = e.Role
	}
	require.Equal(t, map[string]charm.RelationRole{
		"website http global":                charm.RoleProvider,
		"loadbalancer public-address global": charm.RoleProvider,
		"juju-info juju-info container":      charm.RoleRequirer,
		"lb-sink http global":                charm.RoleRequirer,
	}, endpoints)
}
