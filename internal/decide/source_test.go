package decide_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
)

// TestPeersSendWhereKeepalivedListens: in unicast mode that is at the first address
// that the kernel lists for the interface, where keepalived binds its socket.
func TestPeersSendWhereKeepalivedListens(t *testing.T) {
	for claim, c := range map[string]struct {
		vip     string
		ingress []string
		kernel  []string
		want    string
	}{
		"the kernel's first address, though Juju prefers another": {
			"10.10.74.250", []string{"10.10.74.61", "10.10.74.11"}, []string{"10.10.74.11/24", "10.10.74.61/24"}, "10.10.74.11"},
		"one that Juju does not list": {
			"10.10.74.250", []string{"10.10.74.61"}, []string{"10.10.74.11/24", "10.10.74.61/24"}, "10.10.74.11"},
		"not a virtual IP that is there": {
			"10.10.74.250", []string{"10.10.74.11"}, []string{"10.10.74.250/24", "10.10.74.11/24"}, "10.10.74.11"},
		"not a link-local one": {
			"10.10.74.250", []string{"10.10.74.11"}, []string{"169.254.7.7/16", "10.10.74.11/24"}, "10.10.74.11"},
		"not one of the other family": {
			"10.10.74.250", []string{"fd00:74::11"}, []string{"fd00:74::11/64", "10.10.74.11/24"}, "10.10.74.11"},
		"the link-local one for IPv6": {
			"fd00:74::250", []string{"fd00:74::11"}, []string{"fd00:74::11/64", "fe80::11/64"}, "fe80::11"},
	} {
		t.Run(claim, func(t *testing.T) {
			o := decidetest.Observed()
			o.Options.Raw["vrrp_mode"], o.Options.Raw["virtual_ip"] = "unicast", c.vip
			o.Ingress, o.Machine.Interfaces[0].Addresses = c.ingress, nil
			for _, a := range c.kernel {
				o.Machine.Interfaces[0].Addresses = append(o.Machine.Interfaces[0].Addresses, netip.MustParsePrefix(a))
			}
			text, err := decidetest.Record(t, decidetest.Observed()).Encode()
			require.NoError(t, err)
			o.Machine.Configured = facts.Read(facts.Texts{Runs: applied.Texts{Record: text}})
			d, err := decidetest.Desire(o)
			require.NoError(t, err)
			require.Equal(t, c.want, endpoint.ReadMember(d.Publish["cluster:1"]).Address.String())
		})
	}
}
