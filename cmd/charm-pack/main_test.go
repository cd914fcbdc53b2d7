package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
	"keepalived-charm/internal/needs"
)

// TestARealProgramPacks uses this very command as the hook binary.
func TestARealProgramPacks(t *testing.T) {
	needs.Time(t)
	dir := t.TempDir()
	binary := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	arch := strings.Replace(runtime.GOARCH, "ppc64le", "ppc64el", 1)
	archive := filepath.Join(dir, "keepalived.charm")
	args := []string{"-dir", "../..", "-arch", arch, "-binary", binary, "-version", "v1", "-o", archive}
	var stdout bytes.Buffer
	require.NoError(t, run(args, &stdout))
	require.Contains(t, stdout.String(), "keepalived.charm: version v1, ")
	first, err := os.ReadFile(archive)
	require.NoError(t, err)
	require.NoError(t, run(args, &stdout))
	second, err := os.ReadFile(archive)
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, second), "packed twice, the same bytes")

	ch, err := charm.ReadCharmArchive(archive)
	require.NoError(t, err)
	unpacked := filepath.Join(dir, "unpacked")
	require.NoError(t, ch.ExpandTo(unpacked))
	help, err := exec.Command(filepath.Join(unpacked, "hooks/install"), "-h").CombinedOutput()
	require.NoError(t, err, "%s", help)
	require.Contains(t, string(help), "-arch")
}

func TestAFailureLeavesTheOldArchive(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "keepalived.charm")
	require.NoError(t, os.WriteFile(archive, []byte("old"), 0o644))
	binary := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755))
	err := run([]string{"-dir", "../..", "-arch", "amd64", "-binary", binary, "-version", "v1", "-o", archive}, &bytes.Buffer{})
	require.ErrorContains(t, err, "the binary is no Linux program")
	data, err := os.ReadFile(archive)
	require.NoError(t, err)
	require.Equal(t, "old", string(data))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "no half archive stays")
}

func TestAnArgumentThatIsNoFlagIsRefused(t *testing.T) {
	require.EqualError(t, run([]string{"amd64"}, &bytes.Buffer{}), `cannot use argument "amd64"`)
}
