package machine

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestALabBeginsWhileAnotherOneEnds: the directory of all labs goes with the last one.
func TestALabBeginsWhileAnotherOneEnds(t *testing.T) {
	const labs, rounds = 2, 2000
	ended := make(chan error)
	for lab := range labs {
		go func() {
			for range rounds {
				group, err := labCgroup(fmt.Sprintf("test-%d", lab))
				if err == nil {
					err = group.remove()
				}
				if err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range labs {
		require.NoError(t, <-ended)
	}
}
