package history

import (
	"fmt"
	"io/fs"
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
				if err := Note(filepath.Join(dir, CharmFile), Entry{Time: at(0), Event: Paused}); err != nil {
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

// TestADaemonThatEndsAgainAndAgainTakesNoRoom: pauses and failovers from before stay.
func TestADaemonThatEndsAgainAndAgainTakesNoRoom(t *testing.T) {
	killed := func(second int) Entry {
		return Entry{Time: at(second), Event: KeepalivedEnded, Cause: "killed by SIGKILL"}
	}
	starts := func(second int) Entry { return Entry{Time: at(second), Event: KeepalivedStarts} }
	paused := Entry{Time: at(0), Event: Paused}
	exits := Entry{Time: at(3), Event: KeepalivedEnded, Cause: "exit-code 1"}
	often := []Entry{paused}
	for n := range 2 * charmSlots {
		often = append(often, killed(n), starts(n))
	}
	again := func(e Entry, n, last int) Entry {
		e.Again, e.Last = n, at(last)
		return e
	}
	for claim, c := range map[string]struct{ noted, want []Entry }{
		"one end is one entry":           {[]Entry{killed(0), starts(1)}, []Entry{killed(0), starts(1)}},
		"the same soon after is counted": {[]Entry{killed(0), starts(1), killed(20), starts(21)}, []Entry{again(killed(0), 1, 20), again(starts(1), 1, 21)}},
		"a long loop is two entries": {often,
			[]Entry{paused, again(killed(0), 2*charmSlots-1, 2*charmSlots-1), again(starts(0), 2*charmSlots-1, 2*charmSlots-1)}},
		"much later is another time": {[]Entry{killed(0), starts(1), killed(60), starts(61)}, []Entry{killed(0), starts(1), killed(60), starts(61)}},
		"in two ways in turn is three entries": {[]Entry{killed(1), starts(2), exits, starts(4), killed(5), starts(6)},
			[]Entry{again(killed(1), 1, 5), again(starts(2), 2, 6), exits}},
		"what came between parts them":                     {[]Entry{killed(0), paused, killed(1)}, []Entry{killed(0), paused, killed(1)}},
		"what somebody asks for twice was asked for twice": {[]Entry{paused, paused}, []Entry{paused, paused}},
	} {
		t.Run(claim, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, CharmFile)
			for _, e := range c.noted {
				before, err := Read(dir)
				require.NoError(t, err)
				repeats, again := Repeated(path, e)
				require.NoError(t, Note(path, e))
				entries, err := Read(dir)
				require.NoError(t, err)
				require.Equal(t, again, len(entries) == len(before))
				if again {
					require.Contains(t, before, repeats)
				}
			}
			entries, err := Read(dir)
			require.NoError(t, err)
			require.Equal(t, c.want, entries)
		})
	}
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

// TestDirectoriesAboveTheJournalAreMadeAsOthersMakeThem, whoever writes there first: an
// application's for root alone.
func TestDirectoriesAboveTheJournalAreMadeAsOthersMakeThem(t *testing.T) {
	state := filepath.Join(t.TempDir(), "charm", "application")
	r, err := Open(filepath.Join(state, "history", CharmFile))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	for path, mode := range map[string]fs.FileMode{filepath.Dir(state): 0o755, state: 0o700, filepath.Join(state, "history"): 0o700} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
}
