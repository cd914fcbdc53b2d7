package scenario_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/chaos"
)

// TestChaos does the most telling faults of make chaos.
func TestChaos(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, chaos.Run(d.ctx, d.Lab, chaos.Options{Telling: true, Out: os.Stdout, Progress: os.Stderr}))
}
