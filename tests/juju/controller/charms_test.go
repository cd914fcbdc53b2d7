package controller_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	root   = "../../.." // of the charm's sources, where make charm leaves the archive
	python = root + "/tests/lab/python"
)

// packing is the directory of an archive that the tests made.
var packing string

// archive returns the file that make charm leaves, or makes one as the Makefile does.
func archive(t *testing.T) string {
	t.Helper()
	file, err := packed()
	require.NoError(t, err)
	return file
}

var packed = sync.OnceValues(func() (string, error) {
	file := filepath.Join(root, "keepalived.charm")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	var err error
	if packing, err = os.MkdirTemp("", "keepalived-charm"); err != nil {
		return "", err
	}
	binary := filepath.Join(packing, "binary")
	file = filepath.Join(packing, "keepalived.charm")
	for _, args := range [][]string{
		{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=test", "-o", binary, "./cmd/keepalived-charm"},
		{"run", "./cmd/charm-pack", "-arch", strings.Replace(runtime.GOARCH, "ppc64le", "ppc64el", 1), "-binary", binary, "-version", "test", "-o", file},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("cannot pack the charm: %w: %s", err, out)
		}
	}
	return file, nil
})

// standIns are charms on the other side: the endpoints of the real ones that our documents
// name, and those that make a relation without an endpoint's name ambiguous.
var standIns = map[string]string{
	"haproxy": `
provides:
  website: {interface: http}
requires:
  reverseproxy: {interface: http}
peers:
  peer: {interface: haproxy-peer}
`,
	"kubeapi-load-balancer": `
provides:
  website: {interface: http}
  loadbalancer: {interface: public-address}
  lb-consumers: {interface: loadbalancer}
requires:
  apiserver: {interface: http}
  ha: {interface: hacluster, scope: container}
`,
	"kubernetes-worker": `
provides:
  ingress-proxy: {interface: http}
requires:
  kube-api-endpoint: {interface: http}
`,
	"kubernetes-control-plane": `
requires:
  loadbalancer: {interface: public-address}
  loadbalancer-internal: {interface: loadbalancer}
  loadbalancer-external: {interface: loadbalancer}
  ha: {interface: hacluster, scope: container}
`,
}

// standIn makes the directory of a charm.
func (s *site) standIn(name string) {
	s.t.Helper()
	dir := filepath.Join(s.charms, name)
	require.NoError(s.t, os.MkdirAll(filepath.Join(dir, "hooks"), 0o755))
	for file, text := range map[string]string{
		"metadata.yaml": "name: " + name + "\nsummary: stand-in\ndescription: stand-in" + standIns[name],
		"manifest.yaml": "bases:\n" +
			"- {name: ubuntu, channel: \"22.04\", architectures: [amd64, arm64]}\n" +
			"- {name: ubuntu, channel: \"24.04\", architectures: [amd64, arm64]}\n",
		"hooks/install": "#!/bin/sh\n",
	} {
		require.NoError(s.t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755))
	}
}

// python packs the lab's stand-in for the Python charm, as python.charm.
func (s *site) python() {
	s.t.Helper()
	file, err := os.Create(filepath.Join(s.charms, "python.charm"))
	require.NoError(s.t, err)
	defer file.Close()
	z := zip.NewWriter(file)
	for name, source := range map[string]string{
		"metadata.yaml": "metadata.yaml", "config.yaml": "config.yaml", "manifest.yaml": "manifest.yaml",
		"hooks/install": "hook", "hooks/config-changed": "hook",
	} {
		text, err := os.ReadFile(filepath.Join(python, source))
		require.NoError(s.t, err)
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o755)
		w, err := z.CreateHeader(header)
		require.NoError(s.t, err)
		_, err = w.Write(text)
		require.NoError(s.t, err)
	}
	require.NoError(s.t, z.Close())
}
