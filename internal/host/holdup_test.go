package host

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/history"
	"keepalived-charm/internal/needs"
)

// starter is a keepalived that systemd starts, by a clock of its own.
type starter struct {
	*Host
	t        *testing.T
	programs string // what the fake systemctl says
	journal  string
	now      time.Time
}

func newStarter(t *testing.T) *starter {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "usr/bin")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.Symlink(os.Getenv("HOST_TEST_FAKES"), filepath.Join(dir, "systemctl")))
	return &starter{t: t, Host: New(root, ""), programs: dir, journal: filepath.Join(t.TempDir(), "history", history.CharmFile), now: time.Now()}
}

// start tells how long the preparation of a start waits, which systemd makes by itself for
// the nth time; it takes that time, and the daemon runs for a while.
func (s *starter) start(restarts int, runs time.Duration) time.Duration {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.programs, "restarts"), []byte(strconv.Itoa(restarts)), 0o600))
	waits := time.Duration(0)
	if last, again := history.Repeated(s.journal, history.Entry{Time: s.now, Event: history.KeepalivedStarts}); again {
		waits = s.patienceAfter(last, s.now)
	}
	s.now = s.now.Add(waits)
	require.NoError(s.t, history.Note(s.journal, history.Entry{Time: s.now, Event: history.KeepalivedStarts}))
	s.now = s.now.Add(runs)
	require.NoError(s.t, history.Note(s.journal, history.Entry{Time: s.now, Event: history.KeepalivedEnded, Cause: "exit-code 2"}))
	s.now = s.now.Add(200 * time.Millisecond) // RestartSec
	return waits
}

// TestAKeepalivedThatEndsAgainAndAgainIsHeldUp ever longer, within bounds; one that crashes
// now and then is back at once.
func TestAKeepalivedThatEndsAgainAndAgainIsHeldUp(t *testing.T) {
	needs.Time(t)
	s := newStarter(t)
	begun, before := s.now, time.Duration(0)
	for n := range 120 {
		waits := s.start(n, 10*time.Millisecond)
		require.Equal(t, n <= promptStarts, waits == 0, n)
		require.GreaterOrEqual(t, waits, before, "ever longer")
		require.LessOrEqual(t, waits, longestHoldUp)
		before = waits
	}
	require.Greater(t, s.now.Sub(begun), 12*time.Minute, "not three in a second")

	require.Zero(t, s.start(0, 10*time.Millisecond), "somebody has systemd start it: the files may be good now")
	for n := range promptStarts {
		require.Zero(t, s.start(1+n, 10*time.Millisecond), "it begins anew")
	}
	require.NotZero(t, s.start(promptStarts+1, time.Minute))
	for n := range 2 * promptStarts {
		require.Zero(t, s.start(promptStarts+2+n, time.Minute), "it runs for a while each time, whatever systemd counted")
	}
	for range 2 * promptStarts {
		s.start(100, 10*time.Millisecond)
	}
	require.NotZero(t, s.start(100, 0))
	require.NoError(t, os.Remove(filepath.Join(s.programs, "systemctl")))
	require.Zero(t, s.start(100, 0), "who cannot be asked counts as somebody who asked for it")
}

// TestASecondApplicationOnTheMachineWaitsForNothingMore: its preparation comes after the
// first one's, which has waited.
func TestASecondApplicationOnTheMachineWaitsForNothingMore(t *testing.T) {
	s := newStarter(t)
	require.NoError(t, os.WriteFile(filepath.Join(s.programs, "restarts"), []byte("99"), 0o600))
	last := history.Entry{Event: history.KeepalivedStarts, Time: s.now.Add(-time.Minute), Again: 100, Last: s.now}
	require.Equal(t, longestHoldUp, s.patienceAfter(last, s.now))
	require.Zero(t, s.patienceAfter(last, s.now.Add(longestHoldUp)))
	require.Equal(t, longestHoldUp, s.patienceAfter(last, s.now.Add(-time.Hour)), "a clock that was set back")
}
