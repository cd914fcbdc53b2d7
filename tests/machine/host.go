package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// deleteNetNSs deletes every network namespace whose name starts with prefix.
func deleteNetNSs(ctx context.Context, prefix string) error {
	paths, err := filepath.Glob(filepath.Join("/run/netns", prefix+"*"))
	if err != nil {
		return fmt.Errorf("cannot list network namespaces: %w", err)
	}
	for _, path := range paths {
		if err := deleteNetNS(ctx, filepath.Base(path)); err != nil {
			return err
		}
	}
	return nil
}

func deleteNetNS(ctx context.Context, name string) error {
	err := run(ctx, "ip", "netns", "delete", name)
	if err == nil || !exists(filepath.Join("/run/netns", name)) {
		return nil
	}
	// A namespace whose making was interrupted is a plain file, which ip refuses to delete.
	if os.Remove(filepath.Join("/run/netns", name)) == nil {
		return nil
	}
	return fmt.Errorf("cannot delete network namespace %s: %w", name, err)
}

// shell runs a script with positional arguments.
func shell(ctx context.Context, script string, args ...string) error {
	return run(ctx, "/bin/sh", append([]string{"-euc", script, "sh"}, args...)...)
}

// run runs a command on the host; what it wrote to stderr ends the error.
func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return fmt.Errorf("%w: %s", err, text)
		}
		return err
	}
	return nil
}
