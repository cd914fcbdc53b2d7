package patience

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALimitGrowsWithTheMachinesSlowness(t *testing.T) {
	for name, c := range map[string]struct {
		took []time.Duration
		want time.Duration
	}{
		"a fast machine is granted no less": {[]time.Duration{time.Millisecond}, 3 * time.Second},
		"a usual one no more":               {[]time.Duration{usual}, 3 * time.Second},
		"a slow one in proportion":          {[]time.Duration{3 * usual}, 9 * time.Second},
		"one slow moment does not count":    {[]time.Duration{usual, time.Second, usual}, 3 * time.Second},
		"there is an end to it":             {[]time.Duration{time.Second}, 30 * time.Second},
	} {
		require.Equal(t, c.want, stretch(3*time.Second, c.took), name)
	}
	require.GreaterOrEqual(t, With(time.Second), time.Second)
}
