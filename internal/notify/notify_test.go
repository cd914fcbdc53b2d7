package notify_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/notify"
	"keepalived-charm/internal/poll"
)

// agent is a unit's agent as the notifier meets it: a program that answers.
type agent struct {
	t      *testing.T
	dir    string
	notify notify.Notifier
	log    bytes.Buffer
	slept  []time.Duration
	// meanwhile happens in every pause.
	meanwhile func(n int)
}

// newAgent returns an agent whose client runs a shell script; calls adds up what it
// was asked for.
func newAgent(t *testing.T, script string) *agent {
	t.Helper()
	a := &agent{t: t, dir: t.TempDir()}
	client := filepath.Join(a.dir, "juju-exec")
	require.NoError(t, os.WriteFile(client, []byte("#!/bin/sh\necho \"$@\" >>"+a.dir+"/calls\n"+script), 0o755))
	a.notify = notify.Notifier{
		Unit:    "keepalived/0",
		Pending: []string{filepath.Join(a.dir, "pending"), filepath.Join(a.dir, "ended")},
		Clients: []string{filepath.Join(a.dir, "nosuch"), client},
		Log:     log.New(&a.log, "", 0),
		Sleep: func(ctx context.Context, d time.Duration) bool {
			a.slept = append(a.slept, d)
			if d != notify.Settle && a.meanwhile != nil {
				a.meanwhile(a.calls())
			}
			return ctx.Err() == nil
		},
	}
	a.news(0)
	return a
}

func (a *agent) news(n int) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(a.notify.Pending[n], nil, 0o600))
}

func (a *agent) calls() int {
	text, _ := os.ReadFile(filepath.Join(a.dir, "calls"))
	return strings.Count(string(text), "\n")
}

func TestNewsAreToldOnce(t *testing.T) {
	a := newAgent(t, `test ! -e `+"$(dirname $0)/pending")
	a.news(1)
	require.NoError(t, a.notify.Run(t.Context()))
	text, err := os.ReadFile(filepath.Join(a.dir, "calls"))
	require.NoError(t, err)
	require.Equal(t, "keepalived/0 ./dispatch refresh\n", string(text))
	require.Equal(t, []time.Duration{notify.Settle, notify.Pause}, a.slept)
	for _, file := range a.notify.Pending {
		require.NoFileExists(t, file)
	}
	require.Empty(t, a.log.String())
}

func TestMuchNewsIsAFewRuns(t *testing.T) {
	a := newAgent(t, "")
	a.meanwhile = func(n int) {
		if n < 4 {
			a.news(n % 2)
			a.news(0)
		}
	}
	require.NoError(t, a.notify.Run(t.Context()))
	require.Equal(t, 4, a.calls())
	for n, d := range a.slept {
		require.Equal(t, []time.Duration{notify.Settle, notify.Pause}[n%2], d)
	}
	require.GreaterOrEqual(t, notify.Settle+notify.Pause, 4*time.Second)
	require.Less(t, notify.Settle+notify.Pause, 5*time.Second, "a second move is told in time too")
}

// TestNewsWithoutEndAreToldEverMoreRarely: systemd starts a daemon that ends at once five
// times a second, for as long as it takes.
func TestNewsWithoutEndAreToldEverMoreRarely(t *testing.T) {
	a := newAgent(t, "")
	var told []time.Duration // when, from the beginning on
	loop := 10 * time.Minute
	sleep := a.notify.Sleep
	elapsed := func() (sum time.Duration) {
		for _, d := range a.slept {
			sum += d
		}
		return sum
	}
	a.notify.Sleep = func(ctx context.Context, d time.Duration) bool {
		for len(told) < a.calls() {
			told = append(told, elapsed())
		}
		return sleep(ctx, d)
	}
	a.meanwhile = func(int) {
		if elapsed() < loop {
			a.news(1)
		}
	}
	require.NoError(t, a.notify.Run(t.Context()))
	require.Less(t, len(told), 25)
	for n := 1; n < len(told); n++ {
		apart := told[n] - told[n-1]
		require.LessOrEqual(t, apart, notify.LongestPause+3*notify.Pause)
		if n < notify.Prompt {
			require.Equal(t, notify.Settle+notify.Pause, apart, "a fault is told as it happens")
		}
		if n > notify.Prompt && told[n] < loop {
			require.GreaterOrEqual(t, apart, told[n-1]-told[n-2])
		}
	}
	last := told[len(told)-1]
	require.Greater(t, last, loop, "how it ended is told")
	require.Less(t, last, loop+3*notify.Pause, "and at once")
}

func TestWithoutAControllerItTriesEverMoreRarelyAndGivesUp(t *testing.T) {
	a := newAgent(t, "echo ERROR dialing juju run socket: connection refused; exit 1")
	require.NoError(t, a.notify.Run(t.Context()))
	require.Equal(t, notify.Tries, a.calls())
	var pauses []time.Duration
	total := time.Duration(0)
	for _, d := range a.slept {
		if d != notify.Settle {
			pauses = append(pauses, d)
		}
		total += d
	}
	for n := 1; n < len(pauses); n++ {
		require.Equal(t, min(2*pauses[n-1], notify.LongestPause), pauses[n])
	}
	require.Greater(t, total, 5*time.Minute, "longer than between two update-status hooks")
	require.Contains(t, a.log.String(), "cannot refresh the status of keepalived/0: exit status 1: ERROR dialing juju run socket: connection refused; the status follows at the next hook\n")
	require.Equal(t, notify.Tries, strings.Count(a.log.String(), "\n"))
}

func TestAControllerThatComesBackIsTold(t *testing.T) {
	a := newAgent(t, `test -e $(dirname $0)/back`)
	a.meanwhile = func(n int) {
		if n == 3 {
			require.NoError(t, os.WriteFile(filepath.Join(a.dir, "back"), nil, 0o600))
		}
	}
	require.NoError(t, a.notify.Run(t.Context()))
	require.Equal(t, 4, a.calls())
	require.Equal(t, notify.Pause, a.slept[len(a.slept)-1], "and then all is as ever")
}

func TestWithoutJujuThereIsNothingToDo(t *testing.T) {
	a := newAgent(t, "")
	a.notify.Clients = []string{"/nonexistent/juju-exec", "/nonexistent/juju-run"}
	require.NoError(t, a.notify.Run(t.Context()))
	require.Len(t, a.slept, 1)
	require.Equal(t, "cannot refresh the status of keepalived/0: none of /nonexistent/juju-exec, /nonexistent/juju-run: executable file not found in $PATH; the status follows at the next hook\n", a.log.String())
}

func TestWhoeverStopsItWaitsForNothing(t *testing.T) {
	a := newAgent(t, "exec sleep 60")
	a.notify.Sleep = nil
	ctx, cancel := context.WithCancel(t.Context())
	begun, ended := time.Now(), make(chan error)
	go func() { ended <- a.notify.Run(ctx) }()
	poll.Until(t, func() bool { return a.calls() == 1 }, 10*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(begun), notify.Settle)
	cancel()
	require.NoError(t, <-ended)
	require.Less(t, time.Since(begun), 30*time.Second)
	require.Empty(t, a.log.String(), "that is no failure")
}

func TestNewsThatCannotBeTakenInAreAFault(t *testing.T) {
	a := newAgent(t, "")
	require.NoError(t, os.Remove(a.notify.Pending[0]))
	require.NoError(t, os.MkdirAll(filepath.Join(a.notify.Pending[0], "x"), 0o700))
	require.ErrorContains(t, a.notify.Run(t.Context()), fmt.Sprintf("cannot take in the news: remove %s", a.notify.Pending[0]), "else systemd would start it again and again")
	require.Zero(t, a.calls())
}

// TestTheClientOfEveryJujuIsFound: Juju 3 has juju-exec and may keep a link of the
// old name, Juju 2.9 has juju-run only.
func TestTheClientOfEveryJujuIsFound(t *testing.T) {
	require.Equal(t, []string{"/usr/bin/juju-exec", "/usr/bin/juju-run"}, notify.Clients(), "juju-exec comes first")
	for claim, c := range map[string]struct {
		installed []string
		want      string
	}{
		"Juju 2.9":               {[]string{"juju-run"}, "juju-run keepalived/0 ./dispatch refresh\n"},
		"Juju 3":                 {[]string{"juju-exec"}, "juju-exec keepalived/0 ./dispatch refresh\n"},
		"Juju 3, upgraded to it": {[]string{"juju-run", "juju-exec"}, "juju-exec keepalived/0 ./dispatch refresh\n"},
	} {
		t.Run(claim, func(t *testing.T) {
			a := newAgent(t, "")
			dir := t.TempDir()
			for _, name := range c.installed {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho \"${0##*/} $*\" >>"+dir+"/calls\n"), 0o755))
			}
			a.notify.Clients = nil
			for _, path := range notify.Clients() {
				a.notify.Clients = append(a.notify.Clients, filepath.Join(dir, filepath.Base(path)))
			}
			require.NoError(t, a.notify.Run(t.Context()))
			text, err := os.ReadFile(filepath.Join(dir, "calls"))
			require.NoError(t, err)
			require.Equal(t, c.want, string(text))
			require.Empty(t, a.log.String())
		})
	}
}
