package checker

import (
	"bytes"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/history"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/vrrp"
)

// TestTheUnprivilegedCheckerNotesMovesWithTheirCauses: it hears what comes over a
// real socket, and writes to a file that its user cannot open.
func TestTheUnprivilegedCheckerNotesMovesWithTheirCauses(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	c.History = filepath.Join(t.TempDir(), "history")
	c.Instances[0].VirtualRouterID = ours
	p := start(t, c)
	p.becomes(healthyStandby)
	p.inNamespace(func() error { return up("lo") })
	p.inNamespace(func() error { return up("br0") })
	other := p.advertiser("127.0.0.1", vrrp.HopLimit)
	other.says(254, 0)
	other.says(0, 0)
	p.inNamespace(func() error { return address("br0", "192.0.2.10/32", true) })
	var entries []history.Entry
	poll.Until(t, func() bool {
		var err error
		entries, err = history.Read(c.History)
		return err == nil && len(entries) > 0
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, history.BecameHolder, entries[0].Event)
	require.Equal(t, "127.0.0.1 handed over (priority 0)", entries[0].Cause)
	info, err := os.Stat(c.History)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	poll.Until(t, func() bool {
		s, err := ReadStatus(c.StatusFile)
		return err == nil && len(s.Heard) == 1 && s.Heard[0].Priority == 254 && !s.Heard[0].Released.IsZero()
	}, 30*time.Second, 10*time.Millisecond)
}

func TestACheckerWithoutAHistoryGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	var said bytes.Buffer
	j := openJournal(file, log.New(&said, "", 0))
	require.Nil(t, j)
	require.Contains(t, said.String(), "moves are not noted")
	j.write([]history.Entry{{Event: history.Paused}})
	j.close()
	// A disk that takes nothing holds nobody up either.
	j = &journal{entries: make(chan history.Entry, 1), done: make(chan struct{})}
	j.write(make([]history.Entry, 1000))
	begun := time.Now()
	j.close()
	require.Less(t, time.Since(begun), 10*journalPatience)
}
