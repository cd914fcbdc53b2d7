package checker

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/vrrp"
)

// openTrack opens a track file in a new directory.
func openTrack(t *testing.T) *inPlaceFile {
	f, err := openInPlace(filepath.Join(t.TempDir(), "run", "VI_1"), trackText(0), ownIdentity())
	require.NoError(t, err)
	t.Cleanup(f.close)
	return f
}

func TestAWriteIsWhatKeepalivedWaitsFor(t *testing.T) {
	f := openTrack(t)
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, filepath.Dir(f.path), unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO)
	require.NoError(t, err)
	require.NoError(t, f.write(trackText(204)))
	var b [512]byte
	n, err := unix.Read(fd, b[:])
	require.NoError(t, err)
	require.Equal(t, "VI_1", strings.TrimRight(string(b[unix.SizeofInotifyEvent:n]), "\x00"), "one event, for the file")
}

func TestEveryValueHasTheSameLength(t *testing.T) {
	f := openTrack(t)
	for v := vrrp.StepAside; v <= vrrp.HealthyWeight+vrrp.HolderWeight; v++ {
		require.Len(t, trackText(v), 6)
		require.NoError(t, f.write(trackText(v)))
		text, err := f.read()
		require.NoError(t, err)
		require.Equal(t, trackText(v), text)
		require.Equal(t, v, trackValue(text))
	}
}

func TestForeignTextIsReadAsKeepalivedDoesAndCut(t *testing.T) {
	f := openTrack(t)
	for text, value := range map[string]int{
		"204": 204, " 52\n": 52, "+152 x": 152, "-254\n": vrrp.StepAside, "": 0, "x": 0, "-": 0, "1-2": 1,
		"99999999999999999999": 0, "-255": 0, "205": 0,
	} {
		require.Equal(t, value, trackValue(text), "%q", text)
	}
	require.NoError(t, os.WriteFile(f.path, []byte("something longer\n"), 0o600))
	require.NoError(t, f.write(trackText(0)))
	data, err := os.ReadFile(f.path)
	require.NoError(t, err)
	require.Equal(t, "0    \n", string(data))
}

func TestOnlyARegularFileIsOpened(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "VI_1")
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere"), at))
	_, err := openInPlace(at, trackText(0), ownIdentity())
	require.EqualError(t, err, "cannot open "+at+": too many levels of symbolic links")
	require.NoError(t, os.Remove(at))
	require.NoError(t, unix.Mkfifo(at, 0o600))
	_, err = openInPlace(at, trackText(0), ownIdentity())
	require.EqualError(t, err, "cannot use "+at+": it is not a regular file")
}

func TestARemovedFileIsNoticed(t *testing.T) {
	f := openTrack(t)
	require.False(t, f.replaced())
	require.NoError(t, os.WriteFile(f.path+".new", []byte("0\n"), 0o600))
	require.NoError(t, os.Rename(f.path+".new", f.path))
	require.True(t, f.replaced())
}

// TestOnAFullDiskNoEmptyFileIsLeft: empty, a track file would count as 0.
func TestOnAFullDiskNoEmptyFileIsLeft(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"))
	defer func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) }()
	filler, path := filepath.Join(dir, "filler"), filepath.Join(dir, "priority")
	require.ErrorIs(t, os.WriteFile(filler, make([]byte, 128<<10), 0o600), unix.ENOSPC)
	_, err := openInPlace(path, trackText(vrrp.StepAside), ownIdentity())
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoFileExists(t, path)
	require.NoError(t, os.Remove(filler))
	f, err := openInPlace(path, trackText(vrrp.StepAside), ownIdentity())
	require.NoError(t, err)
	f.close()
}
