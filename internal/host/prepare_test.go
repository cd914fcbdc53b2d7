package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
)

// TestAStartRightAfterABootIsMarked: later starts of the daemon are not, and find
// the track file as the health checker left it.
func TestAStartRightAfterABootIsMarked(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	c := healthcheck.Config{
		Application: "keepalived",
		Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: filepath.Join(run, "priority"), Interface: "lo",
			Addresses: []netip.Addr{netip.MustParseAddr("169.254.23.112")}, Watch: "10.10.74.250:443"}},
		Check:  healthcheck.Check{Type: healthcheck.None},
		Booted: filepath.Join(run, "booted"),
	}
	text, err := c.Marshal()
	require.NoError(t, err)
	config := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(config, text, 0o600))
	require.NoError(t, Prepare(config))
	require.FileExists(t, c.Booted)
	value, err := os.ReadFile(c.Instances[0].TrackFile)
	require.NoError(t, err)
	require.Equal(t, "-254 \n", string(value), "out of the election until the health checker runs")

	require.NoError(t, os.Remove(c.Booted))
	require.NoError(t, os.WriteFile(c.Instances[0].TrackFile, []byte("152  \n"), 0o600))
	require.NoError(t, Prepare(config))
	require.NoFileExists(t, c.Booted)
	value, err = os.ReadFile(c.Instances[0].TrackFile)
	require.NoError(t, err)
	require.Equal(t, "152  \n", string(value))
}
