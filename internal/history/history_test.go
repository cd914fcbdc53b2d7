package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func at(seconds int) time.Time { return time.Unix(1_800_000_000+int64(seconds), 0).UTC() }

func TestTheLastEntriesAreKeptInOrderAndTheFileNeverGrows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	path := filepath.Join(dir, CharmFile)
	for n := range 2*charmSlots + 7 {
		// The clock goes backwards all the time.
		require.NoError(t, Note(path, Entry{Time: at(-n), Event: Paused, Cause: fmt.Sprint(n)}))
	}
	entries, err := Read(dir)
	require.NoError(t, err)
	require.Len(t, entries, charmSlots)
	for n, e := range entries {
		require.Equal(t, fmt.Sprint(charmSlots+7+n), e.Cause)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, charmSlots*slot, info.Size())
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.LessOrEqual(t, Most*slot, 256<<10)
}

func TestAnEntryThatIsTooLongLosesTheEndOfItsCause(t *testing.T) {
	dir := t.TempDir()
	for _, cause := range []string{strings.Repeat("ä", 1000), strings.Repeat("\"\x01", 400), "short", ""} {
		require.NoError(t, Note(filepath.Join(dir, CharmFile), Entry{Time: at(1), Event: CheckFailed, Cause: cause, Peer: "10.10.74.12"}))
	}
	entries, err := Read(dir)
	require.NoError(t, err)
	require.Len(t, entries, 4)
	require.Greater(t, len(entries[0].Cause), 100)
	for n := range 2 {
		require.True(t, strings.HasSuffix(entries[n].Cause, "…"), entries[n].Cause)
	}
	require.Equal(t, "short", entries[2].Cause)
	require.Equal(t, Entry{Time: at(1), Event: CheckFailed, Peer: "10.10.74.12"}, entries[3])
	require.Len(t, text(record{1, Entry{Instance: strings.Repeat("i", 1000)}}), slot)
}

func TestWritersInTurnLoseNothing(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				if err := Note(filepath.Join(dir, CharmFile), Entry{Time: at(0), Event: KeepalivedStarts}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	entries, err := Read(dir)
	require.NoError(t, err)
	require.Len(t, entries, 20)
}

func TestTheFilesOfBothWritersAreOneHistory(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(filepath.Join(dir, CheckerFile))
	require.NoError(t, err)
	require.NoError(t, r.Append(Entry{Time: at(1), Event: CheckFailed}, Entry{Time: at(3), Event: CheckPasses}))
	require.NoError(t, r.Close())
	require.NoError(t, Note(filepath.Join(dir, CharmFile), Entry{Time: at(2), Event: Paused}))
	entries, err := Read(dir)
	require.NoError(t, err)
	var events []Event
	for _, e := range entries {
		events = append(events, e.Event)
	}
	require.Equal(t, []Event{CheckFailed, Paused, CheckPasses}, events)
	nothing, err := Read(filepath.Join(dir, "nosuch"))
	require.NoError(t, err)
	require.Empty(t, nothing)
}

func TestWhatIsNoEntryIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, CharmFile)
	require.NoError(t, Note(path, Entry{Time: at(1), Event: Paused}))
	require.NoError(t, Note(path, Entry{Time: at(2), Event: Resumed}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	copy(text[slot:], "garbage")
	require.NoError(t, os.WriteFile(path, text[:3*slot+100], 0o600))
	entries, err := Read(dir)
	require.NoError(t, err)
	require.Equal(t, []Entry{{Time: at(2), Event: Resumed}}, entries)
	require.NoError(t, Note(path, Entry{Time: at(3), Event: Paused}), "and it goes on")
	entries, err = Read(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestAHistoryThatCannotBeWrittenIsAnErrorAndNothingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, Note(filepath.Join(file, CharmFile), Entry{Event: Paused}), "cannot open the history")
	_, err := Read(file)
	require.ErrorContains(t, err, "cannot read the history")
	r, err := Open(filepath.Join(t.TempDir(), CheckerFile))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.ErrorContains(t, r.Append(Entry{Event: Paused}), "cannot write the history")
}
