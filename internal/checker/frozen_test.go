package checker

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/needs"
)

// TestAHolderThatIsFrozenLosesTheAddress for a whole second at the default interval, and in the end
// one unit has it. With FROZEN it is frozen as many times for each of several shorter lengths at two
// intervals, and both deployments lack processors and lose packets for a minute: what moves then is
// not required, but counted for docs/reference/outages.md.
func TestAHolderThatIsFrozenLosesTheAddress(t *testing.T) {
	needs.Root(t)
	needs.Time(t)
	times, intervals, lengths := 1, []time.Duration{200 * time.Millisecond}, []time.Duration{time.Second}
	measured := os.Getenv("FROZEN") != ""
	if measured {
		var err error
		times, err = strconv.Atoi(os.Getenv("FROZEN"))
		require.NoError(t, err)
		intervals, lengths = append(intervals, 100*time.Millisecond), nil
		for n := 1; n <= 5; n++ {
			lengths = append(lengths, time.Duration(n)*100*time.Millisecond)
		}
	}
	for _, interval := range intervals {
		t.Run(interval.String(), func(t *testing.T) {
			t.Parallel()
			s := newTrio(t, interval)
			for _, length := range lengths {
				moves, back, gaps := 0, 0, []time.Duration(nil)
				for range times {
					moved, again, gap := s.during(2*time.Second, func(holder int) { s.freeze(holder, length) })
					if moved {
						moves++
					}
					if again {
						back++
					}
					gaps = append(gaps, gap)
				}
				slices.Sort(gaps)
				t.Logf("| %v | frozen for %v | %d | %d | %d | %.2f (%.2f..%.2f) |", interval, length, times, moves, back,
					gaps[len(gaps)/2].Seconds(), gaps[0].Seconds(), gaps[len(gaps)-1].Seconds())
				if length >= time.Second {
					require.Equal(t, times, moves, "%v frozen for %v", interval, length)
				}
			}
			if measured {
				moved, _, gap := s.during(0, func(int) { busy(t, time.Minute) })
				t.Logf("| %v | processors busy for 1 min | 1 | %v | | %.2f |", interval, moved, gap.Seconds())
				moved, _, gap = s.during(0, func(int) { s.lose(2, time.Minute) })
				t.Logf("| %v | 2 %% of packets lost for 1 min | 1 | %v | | %.2f |", interval, moved, gap.Seconds())
			}
		})
	}
}

// busy has twice as many processes as there are processors want one, for each of two deployments.
func busy(t *testing.T, d time.Duration) {
	var all []*exec.Cmd
	for range 2 * runtime.NumCPU() {
		burner := exec.Command("sh", "-c", "while :; do :; done")
		require.NoError(t, burner.Start())
		all = append(all, burner)
	}
	time.Sleep(d)
	for _, burner := range all {
		burner.Process.Kill()
		burner.Wait()
	}
}
