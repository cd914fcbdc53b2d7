package checker

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
)

// once runs one check in a process of its own, which gives root up.
func once(t *testing.T, check healthcheck.Check) Once {
	t.Helper()
	c := localConfig(t)
	c.Check = check
	data, err := c.Marshal()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	cmd := exec.Command(program, "once", path)
	var rights strings.Builder
	cmd.Stderr = &rights
	out, err := cmd.Output()
	require.NoError(t, err, rights.String())
	require.Contains(t, rights.String(), "CapEff:\t0000000000000000", "as the checker runs it")
	require.NotContains(t, rights.String(), "Uid:\t0")
	var o Once
	require.NoError(t, json.Unmarshal(out, &o))
	require.NoFileExists(t, c.StatusFile, "it touches none of the checker's files")
	require.NoFileExists(t, c.Instances[0].TrackFile)
	return o
}

func TestOneCheckTellsWhatItSees(t *testing.T) {
	t.Parallel()
	service, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for conn, err := service.Accept(); err == nil; conn, err = service.Accept() {
			conn.Close()
		}
	}()
	check := healthcheck.Check{Type: healthcheck.TCP, Target: service.Addr().String(), Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 2}
	o := once(t, check)
	require.True(t, o.Passes, o.Reason)
	require.Positive(t, o.DurationMS)
	require.Empty(t, o.Reason)
	service.Close()
	o = once(t, check)
	require.False(t, o.Passes)
	require.Equal(t, "cannot connect to "+check.Target+": connection refused", o.Reason)
	require.True(t, once(t, healthcheck.Check{Type: healthcheck.None}).Passes)
}
