package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/poll"
)

// TestMain lets the test binary be the killer and what it kills.
func TestMain(m *testing.M) {
	switch os.Getenv("LAB_KILLER_ROLE") {
	case "killer":
		os.Setenv("LAB_KILLER_ROLE", "victim")
		if err := run([]string{os.Args[0], os.Args[1]}, filepath.Join(os.Args[1], "orders")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "victim":
		if err := victim(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	default:
		os.Exit(m.Run())
	}
}

// victim makes a directory and a file, has a program make another, and renames
// its own.
func victim(dir string) error {
	a := filepath.Join(dir, "a")
	return errors.Join(os.Mkdir(a, 0o700), os.WriteFile(filepath.Join(a, "draft"), []byte("x"), 0o600),
		exec.Command("sh", "-c", "sleep 0.05; mkdir "+filepath.Join(dir, "b")).Run(),
		os.Rename(filepath.Join(a, "draft"), filepath.Join(a, "final")))
}

// kill runs the victim until a point; it returns the points that were passed and
// whether it was killed.
func kill(t *testing.T, at string) (dir string, points []string, killed bool) {
	t.Helper()
	dir = t.TempDir()
	orders := filepath.Join(dir, "orders")
	require.NoError(t, os.Mkdir(orders, 0o700))
	if at != "" {
		require.NoError(t, os.WriteFile(filepath.Join(orders, "at"), []byte(at), 0o600))
	}
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), "LAB_KILLER_ROLE=killer")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "%v: %s", err, out)
		killed = true
	} else {
		require.NoError(t, err)
	}
	text, err := os.ReadFile(filepath.Join(orders, "points"))
	if at == "" {
		require.ErrorIs(t, err, os.ErrNotExist)
		return dir, nil, killed
	}
	require.NoError(t, err)
	return dir, strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), dir, "")), "\n"), killed
}

func TestWithoutOrdersTheProgramRuns(t *testing.T) {
	dir, _, killed := kill(t, "")
	require.False(t, killed)
	require.FileExists(t, filepath.Join(dir, "a", "final"))
}

func TestEveryChangeAndEveryStartIsAPointToDieAt(t *testing.T) {
	_, points, killed := kill(t, "0")
	require.False(t, killed)
	want := []string{"mkdir /a", "create /a/draft", "write /a/draft", "start /usr/bin/sh", "started /usr/bin/sh", "rename /a/draft"}
	require.Len(t, points, len(want))
	for n, start := range want {
		require.True(t, strings.HasPrefix(points[n], start), "point %d is %q, must be %q", n+1, points[n], start)
	}
	for n, row := range []struct{ there, missing string }{
		{"orders", "a"}, {"a", "a/draft"}, {"a/draft", "b"}, {"a/draft", "b"}, {"b", "a/final"}, {"b", "a/final"},
	} {
		dir, points, killed := kill(t, strconv.Itoa(n+1))
		require.True(t, killed, want[n])
		require.Len(t, points, n+1)
		// A program that has begun goes on.
		poll.Until(t, func() bool {
			_, err := os.Lstat(filepath.Join(dir, row.there))
			return err == nil
		}, 5*time.Second, 10*time.Millisecond, "%s after death at %s", row.there, want[n])
		require.NoFileExists(t, filepath.Join(dir, row.missing), want[n])
		require.NoDirExists(t, filepath.Join(dir, row.missing), want[n])
	}
}
