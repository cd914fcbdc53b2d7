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

// lacks leaves a test out, or fails it in CI (.ci/run sets CI).
func lacks(t T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why + ", and CI leaves no test out")
	}
	t.Skip(why)
}
