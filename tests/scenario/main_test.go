// Package scenario_test deploys the packed charm in the lab and does to it what
// happens to a deployment: options change, units come and go, machines and
// services die, hooks are killed. What counts is what a client of the virtual IP
// and the machines' kernels see; bounds are product bounds times two or three, as
// the machine may be busy.
package scenario_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
)

// charmFile is what make charm packs.
const charmFile = "../../keepalived.charm"

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests boot machines: run them as root")
		os.Exit(1)
	}
	if _, err := os.Stat(charmFile); err != nil {
		fmt.Fprintf(os.Stderr, "these tests deploy the packed charm: run make charm first (%v)\n", err)
		os.Exit(1)
	}
	// Not in the time of a test: either takes minutes, once.
	if _, _, err := lab.Prepare(context.Background(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// traces lists what is left on this host of a lab.
func traces(t *testing.T, id string) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, id) {
			found = append(found, "mount "+line)
		}
	}
	for _, pattern := range []string{
		"/run/netns/*" + id + "*",
		"/run/keepalived-lab/" + id,
		"/sys/fs/cgroup/keepalived-lab/" + id,
		filepath.Join(machine.CacheDir(), "labs", id),
	} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		found = append(found, paths...)
	}
	return found
}
