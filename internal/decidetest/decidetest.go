// Package decidetest has the units that tests of decisions begin with.
package decidetest

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/juju/charm/v12/hooks"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/render"
)

// Observed is a unit that is about to serve 10.10.74.250.
func Observed() facts.Observed {
	return facts.Observed{
		Event: juju.Event{
			Name: "config-changed", Hook: hooks.ConfigChanged,
			Unit:      juju.Unit{Application: "keepalived", Number: 0},
			Principal: juju.Unit{Application: "haproxy", Number: 0},
		},
		Options: config.Given{Raw: map[string]any{"virtual_ip": "10.10.74.250", "port": json.Number("443")}},
		Relations: []facts.Relation{
			{ID: "website:3", Endpoint: endpoint.Website, Own: juju.Databag{"ingress-address": "10.10.74.11"}},
			{ID: "loadbalancer:4", Endpoint: endpoint.LoadBalancer, Own: juju.Databag{}},
			{ID: "cluster:1", Endpoint: endpoint.Cluster, Own: juju.Databag{}, Told: endpoint.Member{Rank: -1}, Members: map[juju.Unit]facts.Member{}},
		},
		Ingress: []string{"10.10.74.11"},
		Machine: facts.Machine{
			Version: "2.2.7",
			Interfaces: []facts.Interface{{Name: "eth0", Up: true,
				Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.74.11/24")}}},
			DefaultInterface4: "eth0",
		},
	}
}

// Typed reads the options, which tests change as Juju gives them.
func Typed(o facts.Observed) facts.Observed {
	o.Options = config.Read(o.Options.Raw)
	return o
}

// Desire is the decision, rendered, by the options as they are now.
func Desire(o facts.Observed) (decide.Desired, error) { return render.Desire(Typed(o)) }

// Record is that of a unit that serves as it wants to.
func Record(t *testing.T, o facts.Observed) applied.Record {
	t.Helper()
	d, err := Desire(o)
	require.NoError(t, err)
	r, err := applied.Decode(d.Files[d.Layout.Record()])
	require.NoError(t, err)
	return r
}
