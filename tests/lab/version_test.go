package lab

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhichJujuTheLabHas(t *testing.T) {
	for _, c := range []struct {
		value, directory string
		flags            []string
	}{
		{"", "programs", nil},
		{"3.5", "programs", nil},
		{"3.6", "programs-3.6", []string{"-modfile=go36.mod", "-tags=juju36"}},
	} {
		t.Setenv(JujuEnv, c.value)
		v, err := ChosenJuju()
		require.NoError(t, err)
		assert.Equal(t, c.directory, v.directory())
		assert.Equal(t, c.flags, v.flags())
	}
	t.Setenv(JujuEnv, "4.0")
	_, err := ChosenJuju()
	assert.EqualError(t, err, `cannot use Juju "4.0": LAB_JUJU is 3.5 or 3.6`)
}
