package probe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatTimedOutWhileTheProberWasHeldUpIsSkipped(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	var s stalls
	s.note(at(1000), at(1020)) // as ever
	s.note(at(2000), at(2400))
	for claim, c := range map[string]struct {
		from, to int
		held     bool
	}{
		"before it":        {1000, 2000, false},
		"into it":          {1900, 2100, true},
		"all of it":        {1900, 2500, true},
		"amid it":          {2100, 2200, true},
		"out of it":        {2390, 3000, true},
		"after it":         {2400, 3000, false},
		"a short lateness": {1000, 1100, false},
	} {
		require.Equal(t, c.held, s.during(at(c.from), at(c.to)), claim)
	}
}
