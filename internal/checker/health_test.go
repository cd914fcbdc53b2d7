package checker

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// feed gives a health results, "+" for a pass and "-" for a failure, and returns
// the verdict after each: u, s or h.
func feed(h *health, results string) string {
	out := ""
	for _, r := range results {
		h.observe(r == '+')
		out += h.verdict.String()[:1]
	}
	return out
}

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct{ results, verdicts string }{
		"the first pass makes an unknown service healthy":    {"+", "h"},
		"a pass after failures does too":                     {"--+", "uuh"},
		"an unknown service falls like a healthy one":        {"---", "uus"},
		"one or two failures change nothing":                 {"+-+--+", "hhhhhh"},
		"three failures in a row make it sick":               {"+---", "hhhs"},
		"two passes in a row make it healthy again":          {"---+-++", "uussssh"},
		"after a recovery it takes three failures once more": {"---++--+---", "uusshhhhhhs"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.verdicts, feed(&health{fall: 3, rise: 2}, c.results))
		})
	}
}

func TestARetryIsNeverLaterThanTheInterval(t *testing.T) {
	h := &health{fall: 3, rise: 2}
	require.Equal(t, quickRetry, h.retry(time.Second))
	require.Equal(t, 100*time.Millisecond, h.retry(100*time.Millisecond))
	h.refused = true
	require.Equal(t, refusedRetry, h.retry(time.Second))
	require.Equal(t, 50*time.Millisecond, h.retry(50*time.Millisecond))
}

func TestAHintDoesNotShortenARowOfFailures(t *testing.T) {
	h := &health{fall: 3, rise: 2}
	for _, c := range []struct{ pass, hurry bool }{{true, true}, {false, false}, {false, false}, {false, true}, {true, true}} {
		h.observe(c.pass)
		require.Equal(t, c.hurry, h.mayHurry())
	}
}

func TestAVerdictNeedsItsRow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		h := &health{fall: 1 + random.IntN(5), rise: 1 + random.IntN(5)}
		var last []bool // results since the start
		for range 100 {
			pass := random.IntN(3) > 0
			last = append(last, pass)
			before := h.verdict
			changed := h.observe(pass)
			require.Equal(t, before != h.verdict, changed)
			switch {
			case changed && h.verdict == sick:
				require.True(t, ends(last, false, h.fall))
			case changed && before == sick:
				require.True(t, ends(last, true, h.rise))
			case before == healthy && h.verdict == healthy:
				require.False(t, ends(last, false, h.fall))
			}
		}
	}
}

// ends tells whether the last n results are all as given.
func ends(results []bool, as bool, n int) bool {
	if len(results) < n {
		return false
	}
	for _, r := range results[len(results)-n:] {
		if r != as {
			return false
		}
	}
	return true
}
