package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the start of the binary may cost, whatever it is started for: bytes that packages
// allocate before main begins, and page faults per one of a Go program that does nothing.
// An expression compiled at start takes 10,000 to 100,000 bytes. In processor time it is
// twice that program at most, see BenchmarkStart.
const (
	mostInitial     = 60_000
	mostStartFaults = 2.3
)

// initBytes is what a line of GODEBUG=inittrace=1 says of a package (runtime, debugging
// environment variables).
var initBytes = regexp.MustCompile(`(?m)^init (\S+) .* (\d+) bytes, \d+ allocs$`)

// start runs a program and returns its processor time, its page faults and what it says
// on standard error.
func start(t testing.TB, env []string, program string, args ...string) (time.Duration, int64, string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	require.NoError(t, cmd.Run(), errs.String())
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	require.True(t, ok)
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Minflt, errs.String()
}

// TestAProgramThatIsStartedForEveryHookStartsCheaply compares with a Go program that does
// nothing, in things that a busy machine does not change.
func TestAProgramThatIsStartedForEveryHookStartsCheaply(t *testing.T) {
	binary, bare := build(t, ".", version), build(t, "./testdata/bare", version)
	_, _, said := start(t, []string{"GODEBUG=inittrace=1"}, binary, "--version")
	total, lines := 0, initBytes.FindAllStringSubmatch(said, -1)
	require.NotEmpty(t, lines, said)
	for _, l := range lines {
		bytes, err := strconv.Atoi(l[2])
		require.NoError(t, err)
		if total += bytes; bytes > mostInitial/10 {
			t.Logf("%s allocates %d bytes", l[1], bytes)
		}
	}
	require.Less(t, total, mostInitial)

	least := func(program string, args ...string) int64 {
		_, least, _ := start(t, nil, program, args...)
		for range 4 {
			_, faults, _ := start(t, nil, program, args...)
			least = min(least, faults)
		}
		return least
	}
	ratio := float64(least(binary, "--version")) / float64(least(bare))
	t.Logf("%d bytes before main, %.2f times the page faults of a program that does nothing", total, ratio)
	require.Less(t, ratio, mostStartFaults)
}

// BenchmarkStart is the processor time of --version in that of a Go program that does
// nothing, the least of each.
func BenchmarkStart(b *testing.B) {
	binary, bare := build(b, ".", version), build(b, "./testdata/bare", version)
	least := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for n, args := range [][]string{{bare}, {binary, "--version"}} {
			took, _, _ := start(b, os.Environ(), args[0], args[1:]...)
			least[n] = min(least[n], took)
		}
	}
	b.ReportMetric(float64(least[1])/float64(least[0]), "bare-programs")
}
