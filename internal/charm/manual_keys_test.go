package charm_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/docstest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/loadbalancer"
)

// TestTheManualHasNoKeyThatIsNotPublished. That it has every one that is, each hook of these
// tests sees to: package charmtest knows no other.
func TestTheManualHasNoKeyThatIsNotPublished(t *testing.T) {
	service := endpoint.Service{Addresses: []string{vip}, Port: 443}
	healthy := true
	provider := loadbalancer.Provider{Beside: []string{"x"}, Addresses: []netip.Addr{netip.MustParseAddr(vip)}}
	written := map[string][]juju.Databag{
		endpoint.Website:      {endpoint.HTTP(service, "")},
		endpoint.LoadBalancer: {endpoint.PublicAddress(service)},
		endpoint.CosAgent:     {endpoint.Observed("{}")},
		endpoint.HA:           {{hacluster.Clustered: "yes"}},
		endpoint.LBConsumers:  {provider.Databag("x", map[string]loadbalancer.Request{"api": {}}, nil)},
		endpoint.Cluster:      {endpoint.Member{More: map[int]group.Word{1: {}}}.Databag(), endpoint.Verdict(&healthy)},
	}
	keys, err := docstest.Published()
	require.NoError(t, err)
	means := func(k docstest.Key, bag juju.Databag) bool {
		for name := range bag {
			if k.Means(k.Endpoint, name) {
				return true
			}
		}
		return false
	}
	seen := map[string]bool{}
	for _, k := range keys {
		seen[k.Endpoint] = true
		var is bool
		for _, bag := range written[k.Endpoint] {
			is = is || means(k, bag)
		}
		require.True(t, is, "nothing publishes %s on %s", k.Name, k.Endpoint)
	}
	for name := range written {
		require.True(t, seen[name], "the manual has keys of %s", name)
	}
}
