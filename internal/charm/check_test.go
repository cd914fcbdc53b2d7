package charm_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/healthcheck"
)

// TestTheHealthCheckerKnowsTheVirtualIPs: all of them, and no others, whatever changes.
func TestTheHealthCheckerKnowsTheVirtualIPs(t *testing.T) {
	c := spreadOut(t, 2, threeVIPs)
	knows := func(vips ...string) {
		t.Helper()
		for _, n := range c.Nodes {
			config, err := healthcheck.Parse([]byte(n.Host.Files[n.Layout().CheckerConfig()]))
			require.NoError(t, err)
			var want []netip.Addr
			for _, v := range vips {
				want = append(want, netip.MustParseAddr(v))
			}
			require.ElementsMatch(t, want, config.VirtualIPs())
		}
	}
	knows("10.10.74.250", "10.10.74.251", "10.10.74.252")
	c.Set(map[string]any{"spread": false})
	rest(t, c)
	knows("10.10.74.250", "10.10.74.251", "10.10.74.252")
	c.Set(map[string]any{"virtual_ip": "10.10.74.251 10.10.74.253"})
	rest(t, c)
	knows("10.10.74.251", "10.10.74.253")
}

func TestRunChecksSaysWhatAPassRestsOn(t *testing.T) {
	s := holding(t, "true")
	s.Host.Once = checker.Once{Type: "tcp", Target: "localhost:443", Passes: true, DurationMS: 0.4, Found: "a process on this machine listens on 10.10.74.250:443, the address is elsewhere"}
	require.Equal(t, "tcp localhost:443 passes now, in 0.4 ms: a process on this machine listens on 10.10.74.250:443, the address is elsewhere; the health checker says: passes",
		act(t, "run-checks", s).Juju.Results["summary"])
	s.Host.Once = checker.Once{Type: "tcp", Target: "10.10.74.250:443", DurationMS: 0.4, Reason: "no process on this machine listens on 10.10.74.250:443"}
	require.Contains(t, act(t, "run-checks", s).Juju.Results["summary"], "fails now, after 0.4 ms: no process on this machine listens on 10.10.74.250:443; ")
}
