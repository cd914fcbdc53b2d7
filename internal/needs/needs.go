// Package needs says in tests what a test takes of the machine. Where that is missing the
// test is left out, for the sake of those who develop elsewhere; in CI, which has it all,
// that is a failure.
package needs

import (
	"os"
	"os/exec"
)

// T is what this package needs of a test.
type T interface {
	Helper()
	Skip(arguments ...any)
	Fatal(arguments ...any)
}

// Root is for what only root may do: mounts, network namespaces, other users.
func Root(t T) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "only root may do what this test does")
	}
}

// Program returns the path of a program.
func Program(t T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lacks(t, "this machine has no "+name)
	}
	return path
}

// Whole tells that tests take all that they make their claims for, as make unit has them do
// (WHOLE=1). go test by itself takes a part of what takes long.
func Whole() bool { return os.Getenv("WHOLE") != "" }

// Of is how much of something a test takes: whole in make unit, else part.
func Of(whole, part int) int {
	if Whole() {
		return whole
	}
	return part
}

// Time is for what takes long for the one thing that it tells: make unit does it, which is what
// CI runs.
func Time(t T) {
	t.Helper()
	if !Whole() {
		lacks(t, "this takes long, WHOLE=1 does it")
	}
}

// lacks leaves a test out, or fails it in CI (.ci/run sets CI).
func lacks(t T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why + ", and CI leaves no test out")
	}
	t.Skip(why)
}
