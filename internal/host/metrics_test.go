package host_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/host"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/metrics"
)

func TestPortsThatOthersHave(t *testing.T) {
	root, l := t.TempDir(), layout.Layout{Application: "ka"}
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	gone, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	listens, free := other.Addr().(*net.TCPAddr).Port, gone.Addr().(*net.TCPAddr).Port
	require.NoError(t, gone.Close())
	h := host.New(root, "")
	require.Equal(t, []int{listens}, h.Taken(l, []int{listens, free}))

	beside := layout.Layout{Application: "kb"}
	put := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o600))
	}
	put(beside.Fragment(), "# Written by the Juju charm keepalived for application kb.\n")
	put(beside.CheckerConfig(), fmt.Sprintf(`{"version":1,"application":"kb","instances":[{"name":"i","track_file":"/t","interface":"eth0","addresses":["192.0.2.1"]}],
		"policy":{"preempt":false,"drop_all_unhealthy":false},"peers":true,"check":{"type":"none"},"metrics":{"port":%d,"link":"eth0","hook":"/h"}}`, free))
	require.Equal(t, []int{listens, free}, h.Taken(l, []int{listens, free}), "that of a health checker that is down as well")
	require.Equal(t, []int{listens}, h.Taken(beside, []int{listens, free}), "its own is free for itself")
}

func TestAReportIsWrittenInPlace(t *testing.T) {
	root, l := t.TempDir(), layout.Layout{Application: "ka"}
	h := host.New(root, "")
	path := filepath.Join(root, l.HookFile())
	h.Report(l, metrics.Hook{})
	require.NoFileExists(t, path, "a unit that serves nothing has none to tell")
	for _, dir := range []string{l.State(), l.Run(), filepath.Dir(l.Fragment())} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, l.CheckerConfig()), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, l.Fragment()), nil, 0o600))
	h.Report(l, metrics.Hook{Keepalived: "a long version, longer than the next one", Reloads: 7})
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	read := func() metrics.Hook {
		text := make([]byte, 4096)
		n, _ := file.ReadAt(text, 0)
		found, err := metrics.DecodeHook(text[:n])
		require.NoError(t, err)
		return found
	}
	require.Zero(t, read().Reloads, "what this hook did counts, whatever it was told")
	require.False(t, read().Configured.IsZero())
	h.Report(l, metrics.Hook{Keepalived: "2.2.7"})
	require.Equal(t, "2.2.7", read().Keepalived, "who has the file open reads the new text")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}
