package checker

import (
	"context"
	"errors"
	"io"
	"log"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/vrrp"

	"keepalived-charm/internal/healthcheck"
)

// newTestLoop is a loop in this process, with files of its own.
func newTestLoop(t *testing.T) *loop {
	return newTestLoopOf(t, healthcheck.Check{Type: healthcheck.TCP, Target: "127.0.0.1:9", Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 2})
}

// newTestLoopOf is newTestLoop with another check.
func newTestLoopOf(t *testing.T, check healthcheck.Check) *loop {
	c := localConfig(t)
	c.Check = check
	l, err := newLoop(c, "test", ownIdentity(), log.New(io.Discard, "", 0))
	require.NoError(t, err)
	t.Cleanup(l.close)
	return l
}

func TestACheckThatNeverEndsStopsTheSignOfLife(t *testing.T) {
	l := newTestLoop(t)
	l.service.watchdog = time.Second
	now := time.Now()
	stuck := now.Add(time.Duration(healthcheck.DefaultTimeout) + stuckAfter)
	l.checkAt = now
	_, err := l.step(t.Context(), now)
	require.NoError(t, err)
	require.Equal(t, []time.Time{now}, l.checking, "a check was requested, and nobody carries it out")
	_, err = l.step(t.Context(), stuck.Add(-1))
	require.NoError(t, err)
	alive := l.service.next
	require.True(t, alive.After(stuck))
	_, err = l.step(t.Context(), stuck.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, alive, l.service.next)
}

func TestLostEventsMakeItReadAgain(t *testing.T) {
	l := newTestLoop(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	// What netlink does when the kernel dropped events.
	lost := make(chan netlink.AddrUpdate)
	close(lost)
	given := make(chan struct{})
	l.watch = &addressWatch{updates: lost, done: given}
	go func() { ended <- l.run(ctx) }()
	<-given // it is given up, and the next step subscribes before it looks at ctx
	cancel()
	require.NoError(t, <-ended)
	require.NotNil(t, l.watch)
	require.NotEqual(t, lost, l.watch.updates, "subscribed again")
}

func TestVerdictsReachTheTrackFile(t *testing.T) {
	l := newTestLoop(t)
	now := time.Now()
	says := func() string {
		l.apply(now)
		text, err := l.tracks[0].file.read()
		require.NoError(t, err)
		return text
	}
	require.Equal(t, trackText(sickStandby), says())
	one := func(at time.Time, err error) {
		l.begin(t.Context(), at)
		l.judge(outcome{request: <-l.requests, started: at, err: err})
		now = at
	}
	l.checkAt = now
	one(now, nil)
	require.Equal(t, trackText(healthyStandby), says())
	require.Equal(t, now.Add(time.Second), l.checkAt)
	failed := errors.New("status 503")
	one(l.checkAt, failed)
	require.Equal(t, trackText(healthyStandby), says())
	require.Equal(t, now.Add(quickRetry), l.checkAt)
	one(l.checkAt, failed)
	one(l.checkAt, failed)
	require.Equal(t, trackText(sickStandby), says())
	require.Equal(t, now.Add(time.Second), l.checkAt)
	one(l.checkAt, nil)
	require.Equal(t, trackText(sickStandby), says())
	one(l.checkAt, nil)
	require.Equal(t, trackText(vrrp.HeldBackWeight), says(), "it works again, but others come first")
	_, err := l.step(t.Context(), now.Add(firstHold))
	require.NoError(t, err)
	require.Equal(t, trackText(healthyStandby), says())
}

// TestAServiceThatIsBackWithinTwoTenthsOfASecondMovesNothing: nor does one that stays away
// for longer wait for its verdict longer than it must.
func TestAServiceThatIsBackWithinTwoTenthsOfASecondMovesNothing(t *testing.T) {
	l := newTestLoop(t)
	died := time.Now()
	l.checkAt = died
	one := func(err error) time.Duration {
		at := l.checkAt
		l.begin(t.Context(), at)
		l.judge(outcome{request: <-l.requests, started: at, err: err})
		return at.Sub(died)
	}
	one(nil)
	died = l.checkAt
	require.Zero(t, one(syscall.ECONNREFUSED))
	require.Equal(t, 100*time.Millisecond, one(noListener{}))
	require.Equal(t, healthy, l.election.health.verdict)
	require.Equal(t, 200*time.Millisecond, one(syscall.ECONNREFUSED))
	require.Equal(t, sick, l.election.health.verdict)
}
