package checker

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// service is how long a check that begins at a time of a script waits for its
// answer, and what that is.
type service func(begun time.Duration) (took time.Duration, err error)

// hangs answers nothing from begin to end.
func hangs(begin, end time.Duration) service {
	return func(begun time.Duration) (time.Duration, error) {
		if begun < begin || begun >= end {
			return time.Millisecond, nil
		}
		if wait := end - begun; wait < time.Second {
			return wait, nil
		}
		return time.Second, fmt.Errorf("no answer: %w", errTimeout)
	}
}

// play lets a loop check a service without waiting: it returns when each check
// began and when the verdict became sick (zero: never).
func play(t *testing.T, s service, seconds int) (begun []time.Duration, sickAt time.Duration) {
	l := newTestLoop(t)
	l.election.health.verdict = healthy
	start := time.Now()
	l.checkAt = start
	type pending struct {
		outcome
		due time.Time
	}
	var waiting []pending
	for now := start; now.Before(start.Add(time.Duration(seconds) * time.Second)); now = now.Add(time.Millisecond) {
		l.begin(t.Context(), now)
		for len(l.requests) > 0 {
			o := outcome{request: <-l.requests, started: now}
			begun = append(begun, now.Sub(start))
			o.took, o.err = s(now.Sub(start))
			waiting = append(waiting, pending{o, now.Add(o.took)})
		}
		waiting = slices.DeleteFunc(waiting, func(p pending) bool {
			if now.Before(p.due) {
				return false
			}
			l.judge(p.outcome)
			return true
		})
		if sickAt == 0 && l.election.health.verdict == sick {
			sickAt = now.Sub(start)
		}
	}
	return begun, sickAt
}

func TestChecksOverlapWhenNoAnswerComes(t *testing.T) {
	const ms = time.Millisecond
	for claim, c := range map[string]struct {
		service service
		begun   []time.Duration // the first ones
		sick    time.Duration
	}{
		"a service that answers is asked once per interval":       {hangs(0, 0), []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}, 0},
		"one that hangs is sick soon after the timeout":           {hangs(900*ms, time.Hour), []time.Duration{0, 1000 * ms, 1200 * ms, 1350 * ms}, 2350 * ms},
		"a pause as long as the timeout is no failure":            {hangs(950*ms, 2100*ms), []time.Duration{0, 1000 * ms, 1200 * ms, 1350 * ms}, 0},
		"a pause that outlasts one check but not its company too": {hangs(1000*ms, 2340*ms), []time.Duration{0, 1000 * ms, 1200 * ms, 1350 * ms}, 0},
		"a slow service is asked again and stays healthy": {
			func(time.Duration) (time.Duration, error) { return 700 * ms, nil }, []time.Duration{0, 200 * ms, 350 * ms, 1000 * ms}, 0},
		"one that refuses is asked three times": {
			func(begun time.Duration) (time.Duration, error) {
				if begun < 1000*ms {
					return ms, nil
				}
				return ms, errors.New("refused")
			}, []time.Duration{0, 1000 * ms, 1150 * ms, 1300 * ms}, 1301 * ms},
	} {
		t.Run(claim, func(t *testing.T) {
			begun, sickAt := play(t, c.service, 6)
			require.Equal(t, c.begun, begun[:len(c.begun)])
			require.InDelta(t, c.sick, sickAt, float64(2*ms))
		})
	}
}

func TestAnOutcomeOfARoundThatIsOverIsVoid(t *testing.T) {
	l := newTestLoop(t)
	now := time.Now()
	l.checkAt = now
	l.begin(t.Context(), now)
	old := <-l.requests
	l.begin(t.Context(), l.checkAt)
	require.Equal(t, 2, l.round.running)
	l.judge(outcome{request: old, started: now})
	require.Equal(t, healthy, l.election.health.verdict)
	require.ErrorIs(t, old.ctx.Err(), context.Canceled, "the other check ends")
	for range 5 {
		l.judge(outcome{request: old, started: now, err: errTimeout})
	}
	require.Zero(t, l.election.health.failed)
}

func TestACheckerThatDidNotRunBlamesNoService(t *testing.T) {
	l := newTestLoop(t)
	l.election.health.verdict = healthy
	now := time.Now()
	late := func(after time.Duration) {
		l.checkAt = now.Add(after)
		l.begin(t.Context(), l.checkAt)
		l.judge(outcome{request: <-l.requests, started: now.Add(after), took: 1500 * time.Millisecond, err: fmt.Errorf("slow: %w", errTimeout)})
	}
	late(0)
	late(2 * time.Second)
	require.Zero(t, l.election.health.failed)
	require.False(t, l.checkAt.IsZero(), "it goes on")
	late(voidLimit)
	late(voidLimit + 2*time.Second)
	late(voidLimit + 4*time.Second)
	require.Equal(t, sick, l.election.health.verdict, "but not for ever")
	now = now.Add(time.Hour)
	l.voided = time.Time{}
	late(0)
	require.False(t, l.checkAt.IsZero(), "a sick service is checked again too")
}

// TestCheckingNeverStops: whatever a service and the scheduler do, the next check
// begins an interval and a timeout after the last at the latest.
func TestCheckingNeverStops(t *testing.T) {
	for seed := range uint64(20) {
		random := mathrand.New(mathrand.NewPCG(seed, 3))
		begun, _ := play(t, func(time.Duration) (time.Duration, error) {
			switch random.IntN(5) {
			case 0:
				return time.Duration(random.IntN(1000)) * time.Millisecond, nil
			case 1:
				return time.Duration(random.IntN(1000)) * time.Millisecond, errors.New("refused")
			case 2:
				return time.Second, fmt.Errorf("hangs: %w", errTimeout)
			case 3: // this process did not run
				return time.Second + time.Duration(random.IntN(1000))*time.Millisecond, fmt.Errorf("hangs: %w", errTimeout)
			}
			return time.Millisecond, nil
		}, 60)
		last := time.Duration(0)
		for _, b := range begun {
			require.LessOrEqual(t, b-last, 3200*time.Millisecond, "seed %d", seed)
			last = b
		}
		require.Greater(t, last, 56*time.Second, "seed %d", seed)
		require.Less(t, len(begun), 60*7, "seed %d: no storm", seed)
	}
}
