package host_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/host"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

func TestAProgramThatDoesNotEndIsEnded(t *testing.T) {
	_, err := host.RunFor(50*time.Millisecond, "sleep", "600")
	require.EqualError(t, err, "sleep 600: did not end within 0s")
	_, err = host.RunFor(time.Minute, "false", "x")
	require.EqualError(t, err, "false x: exit status 1")
	_, err = host.RunFor(-time.Second, "apt-get", "update")
	require.ErrorContains(t, err, "did not end within")
}

// TestWhatAHookWaitsForIsAsLongAsDocumented, in parts and in all.
func TestWhatAHookWaitsForIsAsLongAsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/reference/waits.md")
	require.NoError(t, err)
	doc := string(text)
	for row, limit := range map[string]time.Duration{
		"| a program that answers at once":  host.QuickLimit,
		"| systemd, asked for units":        host.QuickLimit,
		"| systemd, to read":                host.UnitLimit,
		"| a job of systemd's":              host.JobLimit,
		"| keepalived's report":             host.ReportPatience,
		"| the outcome of an election":      host.LongestElection,
		"| virtual IPs on the loopback":     host.UnpinMost,
		"| another unit to take over":       host.LongestYield,
		"| a peer's machine":                host.AskLimit,
		"| apt's and dpkg's locks, for an":  host.InstallPatience,
		"| the lock of the package lists":   host.ListsPatience,
		"| apt's and dpkg's locks, for a r": host.RemovePatience,
		"| apt and dpkg at work":            host.AptLimit,
		"| an action until somebody":        host.WatchEnd,
	} {
		_, line, found := strings.Cut(doc, "\n"+row)
		require.True(t, found, row)
		require.Equal(t, limit.String(), strings.TrimSpace(strings.Split(line, "|")[1]), row)
	}

	m := newMachine(t)
	m.start(t.TempDir())
	m.put(layout.MainFile, "include "+layout.FragmentDir+"/*.conf\n")
	m.put(passwdFile, root)
	m.put(m.l.CheckerUnit(), "x")
	m.put(m.l.YieldUnit(), "x")
	programs := func() (sum time.Duration) {
		for _, call := range m.calls() {
			words := append(strings.Fields(call), "", "")
			sum += host.Limit(words[0], words[1:]...)
		}
		return sum
	}
	m.observe()
	look := programs() + 4*host.ReportPatience // it asks again where answers do not fit together
	// What a hook does that changes all there is, a unit that stands aside meanwhile
	// included: its checker is started twice.
	m.apply(step.Step{Action: step.Test, Files: file(m.l.Fragment(), "x\n")})
	for _, f := range append(step.FollowUps(), step.RestartChecker) {
		m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{f}})
	}
	const network = 2200 * time.Millisecond // decide's lookLong
	changes := 2*look + programs() + host.AskLimit + network + 3*host.LongestElection + host.UnpinMost
	for hook, longest := range map[string]time.Duration{"| one that changes nothing": look, "| one that changes everything": changes} {
		want := fmt.Sprintf("%s | %.0f minute", hook, longest.Minutes()+0.5)
		require.Contains(t, doc, want, "%v", longest)
	}
	require.Contains(t, doc, fmt.Sprintf("installs keepalived | %.0f minutes more |", (host.InstallPatience+host.AptLimit).Minutes()))
	require.Contains(t, doc, fmt.Sprintf("goes too | %.0f minutes more |", (host.RemovePatience+host.AptLimit).Minutes()))
}
