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
				s.mu.Lock()
				defer s.mu.Unlock()
				require.Empty(t, s.measuring)
				require.Empty(t, s.toiling)
				require.Empty(t, s.waiting)
			})
		})
	}
}

func TestALabThatWaitsToToilIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s share
		ctx, began := context.Background(), time.Now()
		measuring, toiling, late := &Lab{}, &Lab{}, &Lab{}
		end := s.measure(ctx, measuring)
		time.AfterFunc(10*time.Second, end)
		go func() {
			end := s.toil(ctx, toiling)
			require.Less(t, time.Since(began), 11*time.Second, "it waits for those that measured before")
			time.Sleep(10 * time.Second)
			end()
		}()
		time.Sleep(time.Second)
		s.measure(ctx, measuring)()
		require.Less(t, time.Since(began), 2*time.Second, "what is measured within a measurement does not wait")
		s.measure(ctx, late)()
		require.GreaterOrEqual(t, time.Since(began), 20*time.Second, "another one begins after it")
	})
}
