package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhoHasALockIsReadFromWhatAptSays(t *testing.T) {
	for said, want := range map[string]lock{
		"Reading package lists...\nE: Could not get lock /var/lib/apt/lists/lock. It is held by process 812 (apt-get)\nE: Unable to lock directory /var/lib/apt/lists/\n":                                                                                                                             {"/var/lib/apt/lists/lock", "apt-get (pid 812)"},
		"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (unattended-upgr)\nN: Be aware that removing the lock file is not a solution and may break your system.\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?": {"/var/lib/dpkg/lock-frontend", "unattended-upgr (pid 7)"},
		"E: Could not get lock /var/cache/apt/archives/lock. It is held by process 7":                                 {"/var/cache/apt/archives/lock", "process 7"},
		"E: Could not get lock /var/cache/apt/archives/lock - open (11: Resource temporarily unavailable)\nE: Unable": {"/var/cache/apt/archives/lock", "another program"},
	} {
		got, locked := lockIn(said)
		require.True(t, locked, said)
		require.Equal(t, want, got)
	}
	for _, said := range []string{"", "E: Unable to locate package keepalived", "E: Could not open lock file /var/lib/dpkg/lock - open (13: Permission denied)"} {
		_, locked := lockIn(said)
		require.False(t, locked, said)
	}
}

func TestALockThatIsNotReleasedEndsTheWait(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/bin/apt-get"), []byte("#!/bin/sh\necho 'E: Could not get lock /nonexistent. It is held by process 812 (apt-get)'\nexit 100\n"), 0o755))
	_, err := New(root, "").apt(time.Now().Add(time.Second), "update")
	require.EqualError(t, err, "apt-get (pid 812) does not release /nonexistent")
}
