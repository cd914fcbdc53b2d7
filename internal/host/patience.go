package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// A hook keeps the hooks of every other unit on the machine waiting: each program that it
// starts has to end some time, and docs/reference/waits.md adds up what that comes to.
const (
	// quickLimit is for what answers from memory or reads a file, on a machine that is
	// short of everything.
	quickLimit = 10 * time.Second
	// unitLimit is for systemd reading all units of a machine.
	unitLimit = 30 * time.Second
	// jobLimit is for a job of systemd's: keepalived yields for longestYield, systemd gives
	// it 90 s to end by default (systemd-system.conf(5)) and 10 s to start.
	jobLimit = 2 * time.Minute
	// aptLimit is for what apt and dpkg do once they have their locks, downloads included.
	aptLimit = 10 * time.Minute
	// endLimit is how long a program has to end that was told to.
	endLimit = 5 * time.Second
)

// jobs are the calls of systemctl that wait for a job, readings those after which it reads
// its units.
var (
	jobs     = []string{"start", "stop", "restart", "reload-or-restart"}
	readings = []string{"daemon-reload", "enable", "disable"}
)

// limit is how long a program may take.
func limit(program string, args ...string) time.Duration {
	switch {
	case program == "systemctl" && (slices.Contains(jobs, args[0]) || slices.Contains(args, "--now")) && !slices.Contains(args, "--no-block"):
		return jobLimit
	case program == "systemctl" && slices.Contains(readings, args[0]):
		return unitLimit
	case program == "dpkg-deb" && args[0] == "--field", program == "dpkg" && args[0] == "--print-architecture":
		return quickLimit
	case slices.Contains([]string{"apt-get", "dpkg", "dpkg-deb"}, program):
		return aptLimit
	}
	return quickLimit
}

// runFor starts a program in a directory, with a plain environment, and ends it when it
// takes longer than that. What it printed ends the error.
func (h *Host) runFor(longest time.Duration, dir, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.executable(program), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endLimit
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME=/root", "DEBIAN_FRONTEND=noninteractive",
		"APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_SUSPEND=1")
	out, err := cmd.CombinedOutput()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		return string(out), fmt.Errorf("%s %s: did not end within %v", program, args[0], longest.Round(time.Second))
	}
	if err != nil {
		if said := lastLine(string(out)); said != "" {
			return string(out), fmt.Errorf("%s %s: %w: %s", program, args[0], err, said)
		}
		return string(out), fmt.Errorf("%s %s: %w", program, args[0], err)
	}
	return string(out), nil
}
