package charm_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// golden compares with a file of testdata; UPDATE_GOLDEN=1 writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "UPDATE_GOLDEN=1 writes %s anew", path)
}

// related is a unit that serves nothing yet, with both clients related.
func related(t *testing.T) charmtest.State {
	t.Helper()
	s := charmtest.NewState(0)
	s.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
	s.Juju.Relate(endpoint.LoadBalancer, "loadbalancer:4", juju.Unit{Application: "master"})
	return run(t, s, "install", "config-changed", "start", "website-relation-joined", "loadbalancer-relation-joined")
}

// TestDatabagsInEveryState compares with what the Python charm publishes for the
// same unit; only a withdrawal differs, where it leaves the old values.
func TestDatabagsInEveryState(t *testing.T) {
	for _, c := range []struct {
		state   string
		options []map[string]any
	}{
		{"no-vip", nil},
		{"vip", []map[string]any{{"virtual_ip": "10.10.74.250/24"}}},
		{"vip-hostname", []map[string]any{{"virtual_ip": "10.10.74.250/24", "vip_hostname": "test.example.com"}}},
		{"vip-changed", []map[string]any{{"virtual_ip": "10.10.74.250/24"}, {"virtual_ip": "10.10.74.251", "port": 6443}}},
		{"vip-removed", []map[string]any{{"virtual_ip": "10.10.74.250/24", "vip_hostname": "test.example.com"}, {"virtual_ip": ""}}},
		{"vip-ipv6", []map[string]any{{"virtual_ip": "2001:db8::250/64", "network_interface": "eth0"}}},
	} {
		t.Run(c.state, func(t *testing.T) {
			s := related(t)
			for _, options := range c.options {
				for name, value := range options {
					s = option(s, name, value)
				}
				// Juju takes private-address back at the end of config-changed.
				s = run(t, s, "config-changed", "update-status")
			}
			golden(t, "databags-"+c.state, s.Juju.Databags())
		})
	}
}

func TestAPrefixLengthIsNeverPublished(t *testing.T) {
	for _, v := range []string{"10.10.74.250", "10.10.74.250/24", "10.10.74.250/32", " 10.10.74.250 "} {
		s := run(t, option(related(t), "virtual_ip", v), "config-changed")
		require.Equal(t, "10.10.74.250", s.Juju.Own("website:3")["private-address"])
		require.Equal(t, "10.10.74.250", s.Juju.Own("website:3")["hostname"])
		require.Equal(t, "10.10.74.250", s.Juju.Own("loadbalancer:4")["public-address"])
		require.NotContains(t, s.Juju.Own("website:3"), "extended_data")
		require.Contains(t, s.Host.Keepalived.Loaded, "\n        10.10.74.250/32 dev eth0\n", "the unit's own subnet: never its primary address")
	}
}

// TestPrivateAddressComesBack: Juju writes the unit's address at the end of every
// config-changed; the next hook, whichever it is, puts the virtual IP back.
func TestPrivateAddressComesBack(t *testing.T) {
	s := serving(t)
	s = run(t, s, "config-changed")
	require.Equal(t, "10.10.74.11", s.Juju.Own("website:3")["private-address"])
	require.Equal(t, vip, s.Juju.Own("website:3")["hostname"])
	for _, hook := range []string{"update-status", "cluster-relation-changed", "lb-sink-relation-departed", "leader-elected"} {
		require.Equal(t, vip, run(t, s, hook).Juju.Own("website:3")["private-address"], hook)
	}
}

func TestEveryRelationOfAnEndpointGetsTheSameData(t *testing.T) {
	s := serving(t)
	s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
	s = run(t, s, "website-relation-created")
	assert.Equal(t, s.Juju.Own("website:3"), s.Juju.Own("website:9"))
	s.Juju.Relate(endpoint.Website, "website:11", juju.Unit{Application: "third"})
	out := charmtest.RunHook(t, charmtest.Hook{Name: "website-relation-broken", Relation: "website:11"}, s)
	require.NoError(t, out.Err)
	assert.NotContains(t, out.Juju.Own("website:11"), "port", "a broken relation is not written, Juju 2.9 still lists it")
	assert.Equal(t, s.Juju.Own("website:3"), out.Juju.Own("website:3"))
}

// TestAddressKeysMayBeMissing: Juju 4 writes no private-address.
func TestAddressKeysMayBeMissing(t *testing.T) {
	s := related(t)
	bag := s.Juju.Own("website:3")
	clear(bag)
	s = run(t, option(s, "virtual_ip", vip), "config-changed")
	require.Equal(t, juju.Databag{"hostname": vip, "private-address": vip, "port": "443"}, s.Juju.Own("website:3"))
	s = run(t, option(s, "virtual_ip", ""), "config-changed")
	require.Empty(t, s.Juju.Own("website:3"))
}

func TestWhatAFailedHookPublishedIsLost(t *testing.T) {
	s := option(related(t), "virtual_ip", vip)
	clean := charmtest.Run(t, "config-changed", s)
	out := charmtest.RunHook(t, charmtest.Hook{Name: "config-changed", Death: charmtest.Death{Call: clean.Calls, When: charmtest.After}}, s)
	require.Error(t, out.Err)
	require.Equal(t, s.Juju.Databags(), out.Juju.Databags())
	require.Equal(t, clean.Host.String(), out.Host.String())
}

// TestClientsAreToldAnAddressAsItIsWritten, canonical or not: the Python charm does so.
func TestClientsAreToldAnAddressAsItIsWritten(t *testing.T) {
	s := with(serving(t), func(s *charmtest.State) { s.Host.DefaultInterface6 = "eth0" })
	s = run(t, option(s, "virtual_ip", "2001:DB8:0::250/64"), "config-changed", "update-status")
	require.Equal(t, "2001:DB8:0::250", s.Juju.Own("website:3")["private-address"])
	require.Equal(t, "2001:DB8:0::250", s.Juju.Own("website:3")["hostname"])
	require.Equal(t, "2001:DB8:0::250", s.Juju.Own("loadbalancer:4")["public-address"])
	require.Contains(t, s.Host.Keepalived.Loaded, "2001:db8::250/64")
}
