package host_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/step"
)

// TestAChangeThatCannotBeWrittenBeginsNot: a disk that takes the record and not what keepalived
// reads would leave a holder half way, with the others aside.
func TestAChangeThatCannotBeWrittenBeginsNot(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for claim, disk := range map[string]struct {
		options string
		flags   uintptr
	}{
		"a disk of read-only": {"", unix.MS_RDONLY}, "no room for the text": {"size=16k", 0}, "no room for a file": {"nr_inodes=4", 0},
	} {
		m := newMachine(t)
		m.put(layout.MainFile, "")
		etc := m.in(layout.ConfigDir)
		require.NoError(t, unix.Mount("none", etc, "tmpfs", 0, disk.options), claim)
		m.put(layout.MainFile, "include "+layout.FragmentDir+"/*.conf\n")
		m.put(m.l.Fragment(), "old fragment\n")
		require.NoError(t, unix.Mount("none", etc, "tmpfs", unix.MS_REMOUNT|disk.flags, disk.options), claim)
		before := m.files()
		err := m.Apply(m.l, step.Step{Action: step.Test, Files: file(m.l.Fragment(), "new fragment\n"+strings.Repeat("# long\n", 10000))})
		require.ErrorContains(t, err, "cannot write "+m.l.Fragment()+": ", claim)
		require.Equal(t, before, m.files(), claim)
		require.NoError(t, unix.Unmount(etc, 0))
	}
	m := newMachine(t)
	before := m.files()
	m.apply(step.Step{Action: step.Test, Files: []step.File{{Path: m.l.Fragment(), Content: "x\n"}, {Path: layout.MainFile, Content: "x\n"}, {Path: layout.ForeignFile, Remove: true}}})
	require.Equal(t, before, m.files(), "a directory that is not there yet")
	_, err := os.Stat(m.in(layout.FragmentDir))
	require.ErrorIs(t, err, os.ErrNotExist)
}
