package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// events are what a unit's journal says happened, with the causes.
func events(t *testing.T, h *Host, l layout.Layout) []string {
	t.Helper()
	entries, err := h.History(l)
	require.NoError(t, err)
	var said []string
	for _, e := range entries {
		said = append(said, string(e.Event)+": "+e.Cause)
	}
	return said
}

func TestWhatAnOperatorAsksForIsNoted(t *testing.T) {
	h, l := New(t.TempDir(), ""), layout.Layout{Application: "keepalived"}
	require.Empty(t, events(t, h, l))
	require.NoError(t, h.Apply(l, step.Step{Action: step.Pause}))
	require.NoError(t, h.Apply(l, step.Step{Action: step.Resume}))
	require.Equal(t, []string{"paused: action of an operator", "resumed: action of an operator"}, events(t, h, l))
}

func TestAHistoryThatCannotBeWrittenKeepsNothingFromHappening(t *testing.T) {
	h, l := New(t.TempDir(), ""), layout.Layout{Application: "keepalived"}
	require.NoError(t, h.write(l.History(), "a file where the directory goes", 0o600))
	require.NoError(t, h.Apply(l, step.Step{Action: step.Pause}))
	require.FileExists(t, h.path(l.Paused()))
}

func TestChangedParametersAreNoted(t *testing.T) {
	h, l := New(t.TempDir(), ""), layout.Layout{Application: "keepalived"}
	for _, parameters := range []string{
		"version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112",
		"version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112",
		"version=3 mode=unicast vrid=24 interval=200ms anchor=169.254.24.112",
	} {
		p, ok := vrrp.ParseParameters(parameters)
		require.True(t, ok)
		text, err := applied.Record{Routers: map[int]applied.Router{0: {Parameters: p}}}.Encode()
		require.NoError(t, err)
		require.NoError(t, h.Apply(l, step.Step{Action: step.Write, Files: []step.File{{Path: l.Record(), Content: text}}}))
	}
	require.Equal(t, []string{"parameters changed: mode=multicast is now mode=unicast, vrid=23 is now vrid=24"}, events(t, h, l))
}

func TestHowKeepalivedEndedIsNoted(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "checker.json")
	require.NoError(t, os.WriteFile(config, []byte(`{"application":"keepalived","instances":[{"name":"VI_1","track_file":"`+dir+`/priority",
		"interface":"eth0","addresses":["10.10.74.250"]}],"policy":{"preempt":false,"drop_all_unhealthy":false},"peers":true,
		"check":{"type":"none"},"history":"`+dir+`/history"}`), 0o600))
	for _, environment := range []map[string]string{
		{"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0"},
		{"SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"},
		{"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "203"},
	} {
		require.NoError(t, Ended(config, func(name string) string { return environment[name] }))
	}
	entries, err := history.Read(filepath.Join(dir, "history"))
	require.NoError(t, err)
	var causes []string
	for _, e := range entries {
		require.Equal(t, history.KeepalivedEnded, e.Event)
		causes = append(causes, e.Cause)
	}
	require.Equal(t, []string{"it was stopped", "killed by SIGKILL", "exit-code 203"}, causes)
	require.ErrorContains(t, Ended("/nonexistent", os.Getenv), "no such file")
}
