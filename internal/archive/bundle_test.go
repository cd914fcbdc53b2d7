package archive_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/config"
)

// principals are charms as far as the overlays use them, with a bundle that has them.
var principals = map[string]struct{ options, bundle string }{
	"haproxy.yaml": {"options: {}", `
applications:
  haproxy: {charm: haproxy, num_units: 3}
`},
	// charm-kubeapi-load-balancer cd0b65d and charm-kubernetes-control-plane 2d58730 have these.
	"charmed-kubernetes.yaml": {`
options:
  extra_sans: {type: string, default: ""}
  loadbalancer-ips: {type: string, default: ""}
`, `
applications:
  kubeapi-load-balancer: {charm: kubeapi-load-balancer, num_units: 1}
  kubernetes-control-plane: {charm: kubernetes-control-plane, num_units: 2}
`},
}

// TestTheOverlaysFitTheCharm: Juju's own library merges and verifies them.
func TestTheOverlaysFitTheCharm(t *testing.T) {
	ours, err := charm.ReadCharmDir(root)
	require.NoError(t, err)
	files, err := filepath.Glob(root + "/bundles/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, len(principals))
	// They name the file that make charm leaves.
	at := t.TempDir()
	require.NoError(t, os.Mkdir(at+"/bundles", 0o755))
	require.NoError(t, os.WriteFile(at+"/keepalived.charm", nil, 0o644))
	for _, file := range files {
		p, is := principals[filepath.Base(file)]
		require.True(t, is, file)
		overlay, err := os.ReadFile(file)
		require.NoError(t, err)
		var sources []charm.BundleDataSource
		for _, text := range []string{p.bundle, string(overlay)} {
			s, err := charm.StreamBundleDataSource(strings.NewReader(text), at+"/bundles")
			require.NoError(t, err, file)
			sources = append(sources, s)
		}
		bundle, err := charm.ReadAndMergeBundleData(sources...)
		require.NoError(t, err, file)

		charms := map[string]charm.Charm{}
		for name, application := range bundle.Applications {
			if name != "keepalived" {
				dir := t.TempDir()
				for f, text := range map[string]string{"metadata.yaml": "{name: " + name + ", summary: one, description: one}", "config.yaml": p.options} {
					require.NoError(t, os.WriteFile(filepath.Join(dir, f), []byte(text), 0o644))
				}
				charms[application.Charm], err = charm.ReadCharmDir(dir)
				require.NoError(t, err)
				continue
			}
			require.Equal(t, "keepalived.charm", filepath.Base(application.Charm))
			charms[application.Charm] = ours
			_, err := config.Parse(config.Effective(application.Options))
			require.NoError(t, err, file)
		}
		require.NoError(t, bundle.VerifyWithCharms(nil, nil, nil, charms), file)
	}
}
