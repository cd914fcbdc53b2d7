package scenario_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/chaos"
)

// TestChaos does the most telling faults of make chaos.
func TestChaos(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	var names []string
	for _, f := range chaos.Faults() {
		if f.Telling {
			names = append(names, regexp.QuoteMeta(f.Name))
		}
	}
	rows := "^(" + strings.Join(some(t, 3, names...), "|") + ")$"
	require.NoError(t, chaos.Run(d.ctx, d.Lab, chaos.Options{Rows: rows, Out: os.Stdout, Progress: os.Stderr}))
}
