package lab

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRowsArePickedByTheirEvent(t *testing.T) {
	events := func(pattern string) (found []string) {
		rows, err := pickRows(pattern)
		require.NoError(t, err)
		for _, row := range rows {
			found = append(found, row.Event)
		}
		return found
	}
	require.Len(t, events(""), len(benchRows()))
	require.Equal(t, []string{"service on the holder is killed", "failed holder returns"}, events("KILLED|returns$"))
	_, err := pickRows("volcano")
	require.ErrorContains(t, err, `"volcano" matches none of: holder's machine loses power, service`)
	_, err = pickRows("(")
	require.ErrorContains(t, err, "cannot pick rows: error parsing regexp")
}

func TestEveryRowCanBeMeasured(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range benchRows() {
		require.False(t, seen[row.Event], "%s is there twice", row.Event)
		seen[row.Event] = true
		require.NotNil(t, row.event, row.Event)
		// An outage at the bound has to end within the measurement.
		require.Greater(t, row.rest.Seconds(), float64(row.Bound.Outage), row.Event)
	}
}
