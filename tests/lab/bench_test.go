package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRowsArePickedByTheirEvent(t *testing.T) {
	events := func(pattern string) (found []string) {
		picked, err := pickRows(benchRows(time.Minute), pattern)
		require.NoError(t, err)
		for _, e := range picked {
			for _, row := range e.rows {
				for _, target := range row.targets() {
					if target.picked {
						found = append(found, target.Event)
					}
				}
			}
		}
		return found
	}
	require.Greater(t, len(events("")), 30)
	require.Equal(t, []string{"service on the holder is killed", "failed holder returns"}, events("KILLED|returns$"))
	require.Equal(t, []string{"loses power: 64 virtual IPs, the last"}, events("64.*last"))
	_, err := pickRows(benchRows(0), "volcano")
	require.ErrorContains(t, err, `"volcano" matches none of: holder's machine loses power, service`)
	_, err = pickRows(nil, "(")
	require.ErrorContains(t, err, "cannot pick rows: error parsing regexp")
}

func TestEveryRowCanBeMeasured(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range benchRows(time.Minute) {
		for _, row := range e.rows {
			require.NotNil(t, row.event, row.Event)
			for _, target := range row.targets() {
				require.False(t, seen[target.Event], "%s is there twice", target.Event)
				seen[target.Event] = true
				require.NotEmpty(t, target.Kind, target.Event)
				require.NotZero(t, target.Bound.TwoHolders, target.Event)
				// An outage at the bound has to end within the measurement.
				require.Greater(t, row.rest.Seconds(), float64(target.Bound.Outage), target.Event)
			}
		}
	}
}
