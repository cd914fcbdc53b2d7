package checker

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
)

// scripted is a service that answers after a while, refuses, or hangs.
type scripted struct {
	answers, refuses bool
	after            time.Duration
}

func (s *scripted) probe(ctx context.Context) (string, error) {
	if s.refuses {
		return "", syscall.ECONNREFUSED
	}
	if s.answers {
		select {
		case <-time.After(s.after):
			return "", nil
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return "", fmt.Errorf("no answer: %w", cause(ctx.Err()))
}

// sickWithin is the formula of docs/reference/health-check.md: how long a service
// hangs at most until it is unhealthy.
func sickWithin(c healthcheck.Check) time.Duration {
	waves := (c.Fall + 7) / 8
	return time.Duration(c.Interval) + time.Duration((float64(waves)+0.2)*float64(c.Timeout)) + time.Duration(c.Fall)*150*time.Millisecond
}

// healthyWithin is the one for a service that works again.
func healthyWithin(c healthcheck.Check) time.Duration {
	return time.Duration(c.Rise)*time.Duration(max(c.Interval, c.Timeout)) + time.Duration(c.Timeout)
}

// corners are the ends of what the options allow, and what was seen to fail.
func corners() []healthcheck.Check {
	var all []healthcheck.Check
	for _, interval := range []time.Duration{time.Second, time.Hour}[:needs.Of(2, 1)] {
		for _, timeout := range []time.Duration{100 * time.Millisecond, time.Minute} {
			for _, fall := range []int{1, 20} {
				for _, rise := range []int{1, 20} {
					all = append(all, healthcheck.Check{Interval: healthcheck.Duration(interval), Timeout: healthcheck.Duration(timeout), Fall: fall, Rise: rise})
				}
			}
		}
	}
	for _, c := range [][2]int{{1, 3}, {20, 10}, {10, 10}, {5, 20}, {60, 3}} {
		all = append(all, healthcheck.Check{Interval: healthcheck.DefaultInterval, Timeout: healthcheck.Duration(c[0]) * healthcheck.DefaultTimeout, Fall: c[1], Rise: 2})
	}
	for n := range all {
		all[n].Type, all[n].Target = healthcheck.TCP, "127.0.0.1:9"
	}
	return all
}

// until lets the loop's checks run, as run does, until the verdict is v. The sign of
// life must never be missing.
func (l *loop) until(t *testing.T, v verdict, limit time.Duration) {
	begun := time.Now()
	for l.election.health.verdict != v {
		now := time.Now()
		next := l.signOfLife(now)
		require.Truef(t, next.After(now), "no sign of life after %v", now.Sub(begun))
		if at := l.begin(t.Context(), now); !at.IsZero() && at.Before(next) {
			next = at
		}
		require.LessOrEqual(t, now.Sub(begun), limit, "the verdict is to be %s", v)
		select {
		case o := <-l.outcomes:
			l.judge(o)
		case <-time.After(time.Until(next)):
		}
	}
}

// TestEveryVerdictComesInTime: a service that begins to hang, at the worst moment, is
// unhealthy within the bound that the manual names, and one that works again healthy;
// systemd sees a sign of life all along.
func TestEveryVerdictComesInTime(t *testing.T) {
	t.Parallel()
	for _, c := range corners() {
		t.Run(fmt.Sprintf("interval=%v timeout=%v fall=%d rise=%d", time.Duration(c.Interval), time.Duration(c.Timeout), c.Fall, c.Rise), func(t *testing.T) {
			l := newTestLoopOf(t, c)
			synctest.Test(t, func(t *testing.T) {
				l.requests, l.outcomes = make(chan request, l.parallel), make(chan outcome, l.parallel)
				l.service.watchdog = 2 * time.Second
				service := &scripted{answers: true}
				l.prober, l.checkAt = service, time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				for range l.parallel {
					go l.check(ctx)
				}
				l.until(t, healthy, time.Duration(c.Timeout))
				service.answers = false
				began := time.Now()
				l.until(t, sick, sickWithin(c))
				t.Logf("unhealthy after %v of %v", time.Since(began), sickWithin(c))
				service.answers, service.after = true, time.Duration(c.Timeout)*9/10
				began = time.Now()
				l.until(t, healthy, healthyWithin(c))
				t.Logf("healthy after %v of %v", time.Since(began), healthyWithin(c))
				service.refuses = true
				l.until(t, sick, time.Duration(c.Interval)+time.Duration(c.Fall)*refusedRetry)
				cancel()
				l.round.over()
				synctest.Wait()
			})
		})
	}
}

// TestTheManualNamesTheBounds compares the words with the numbers that they stand for.
func TestTheManualNamesTheBounds(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/health-check.md")
	require.NoError(t, err)
	for _, formula := range []string{
		fmt.Sprintf("interval + (⌈fall / %d⌉ + %v) × timeout + fall × %v s", mostParallel, 1.0/slowShare, quickRetry.Seconds()),
		fmt.Sprintf("interval + fall × %v s |", refusedRetry.Seconds()),
		"rise × max(interval, timeout) + timeout",
	} {
		require.Contains(t, strings.Join(strings.Fields(string(text)), " "), formula)
	}
}

// TestAProbeThatNeverComesBackStopsTheSignOfLife: whatever the others bring.
func TestAProbeThatNeverComesBackStopsTheSignOfLife(t *testing.T) {
	l := newTestLoop(t)
	l.service.watchdog = time.Second
	start := time.Now()
	l.checkAt = start
	l.begin(t.Context(), start)
	lost := <-l.requests
	limit := time.Duration(l.config.Check.Timeout) + stuckAfter
	for now := start; now.Before(start.Add(limit)); now = now.Add(100 * time.Millisecond) {
		require.True(t, l.signOfLife(now).After(now), "%v", now.Sub(start))
		l.begin(t.Context(), now)
		for len(l.requests) > 0 {
			l.judge(outcome{request: <-l.requests, started: now})
		}
	}
	require.Zero(t, l.signOfLife(start.Add(limit)))
	l.judge(outcome{request: lost, started: start})
	require.NotZero(t, l.signOfLife(start.Add(limit)), "it came back")
}
