// Package hooktool builds the program behind Juju's hook tools in the lab's machines. It is
// written in C and linked with musl, since a hook runs a dozen of these: a Go program begins
// with 170 page faults and takes ten times as long.
package hooktool

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os/exec"
)

//go:embed source/hooktool.c
var source []byte

// Build compiles the program to a path, for this machine's architecture. It needs musl-gcc
// (Debian: musl-tools).
func Build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "musl-gcc", "-x", "c", "-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-o", path, "-")
	cmd.Stdin = bytes.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the hook tools' program: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
