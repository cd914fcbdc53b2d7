package lab

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLabsKeepOutOfEachOthersWay(t *testing.T) {
	measure := func(s *share, l *Lab) func() { return s.measure(context.Background(), l) }
	toil := func(s *share, l *Lab) func() { return s.toil(context.Background(), l) }
	for claim, c := range map[string]struct {
		first, second func(*share, *Lab) func()
		same, waits   bool
	}{
		"a lab toils once another has measured":    {measure, toil, false, true},
		"a lab measures once another has toiled":   {toil, measure, false, true},
		"two may measure":                          {measure, measure, false, false},
		"two may toil":                             {toil, toil, false, false},
		"what toils amid a measurement is its own": {measure, toil, true, false},
		"and may be measured":                      {toil, measure, true, false},
	} {
		t.Run(claim, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s share
				one, other := &Lab{}, &Lab{}
				if c.same {
					other = one
				}
				began := time.Now()
				end := c.first(&s, one)
				time.AfterFunc(time.Second, end)
				c.second(&s, other)()
				require.Equal(t, c.waits, time.Since(began) >= time.Second)
				time.Sleep(time.Minute)
				require.Empty(t, s.measuring)
				require.Empty(t, s.toiling)
			})
		})
	}
}
