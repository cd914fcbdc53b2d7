package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machinePath is the search path of commands run in machines and of the lab's own tools.
const machinePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A Result is what a command run in a machine left.
type Result struct {
	// Stdout and Stderr are all it wrote.
	Stdout, Stderr string
	// Code is its exit status; -1 when a signal ended it.
	Code int
}

// Command prepares a command inside the machine: as root, in all its namespaces and control
// groups, with a clean environment. The caller may attach standard streams and start it.
func (m *Machine) Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	s := m.session()
	if s == nil {
		return nil, m.errOff()
	}
	full := append([]string{"--target=" + strconv.Itoa(s.leader),
		"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", full...)
	cmd.Env = []string{"PATH=" + machinePath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash",
		"LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(s.execs.Fd())}
	cmd.WaitDelay = 2 * time.Second
	return cmd, nil
}

// Exec runs a command in the machine and waits for it. An exit status other than 0 is no error.
func (m *Machine) Exec(ctx context.Context, args ...string) (Result, error) {
	return m.exec(ctx, nil, args...)
}

func (m *Machine) exec(ctx context.Context, stdin []byte, args ...string) (Result, error) {
	cmd, err := m.Command(ctx, args...)
	if err != nil {
		return Result{}, fmt.Errorf("cannot run %s: %w", args[0], err)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	// nsenter forks to enter the PID namespace: a group of its own lets both be killed.
	cmd.SysProcAttr.Setpgid = true
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return result, fmt.Errorf("cannot finish %s in %s: %w", args[0], m.Name, ctx.Err())
	}
	if err != nil && !errors.As(err, &exit) {
		return result, fmt.Errorf("cannot run %s in %s: %w", args[0], m.Name, err)
	}
	return result, nil
}

// Run runs a shell script that ends at its first failing command and returns what it printed.
func (m *Machine) Run(ctx context.Context, script string) (string, error) {
	return m.output(ctx, nil, "sh", "-euc", script)
}

// output runs a command that must succeed.
func (m *Machine) output(ctx context.Context, stdin []byte, args ...string) (string, error) {
	result, err := m.exec(ctx, stdin, args...)
	if err != nil {
		return result.Stdout, err
	}
	if result.Code != 0 {
		return result.Stdout, fmt.Errorf("cannot run %s in %s: exit status %d: %s", args[0], m.Name, result.Code,
			strings.TrimSpace(result.Stderr))
	}
	return result.Stdout, nil
}

// WriteFile writes a file in the machine, its directories too; readers see the old or the new one.
func (m *Machine) WriteFile(ctx context.Context, path string, data []byte, mode os.FileMode) error {
	const script = `mkdir -p "$(dirname "$1")"; cat >"$1.lab-new"; chmod "$2" "$1.lab-new"; mv -T "$1.lab-new" "$1"`
	if data == nil {
		data = []byte{}
	}
	_, err := m.output(ctx, data, "sh", "-euc", script, "sh", path, fmt.Sprintf("%04o", mode.Perm()))
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// ReadFile reads a file in the machine.
func (m *Machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	out, err := m.output(ctx, nil, "cat", "--", path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return []byte(out), nil
}

// CopyIn copies a file of the host to path in the machine, or what is in a directory of the host
// into path, with modes and links kept and everything owned by root.
func (m *Machine) CopyIn(ctx context.Context, host, path string) error {
	fail := func(err error) error { return fmt.Errorf("cannot copy %s to %s: %w", host, m.Name, err) }
	info, err := os.Stat(host)
	if err != nil {
		return fail(err)
	}
	if !info.IsDir() {
		data, err := os.ReadFile(host)
		if err != nil {
			return fail(err)
		}
		return m.WriteFile(ctx, path, data, info.Mode())
	}
	archive, err := exec.CommandContext(ctx, "tar", "--create", "--owner=0", "--group=0", "--directory", host, ".").Output()
	if err != nil {
		return fail(err)
	}
	const script = `mkdir -p "$1"; tar --extract --preserve-permissions --directory "$1"`
	if _, err := m.output(ctx, archive, "sh", "-euc", script, "sh", path); err != nil {
		return fail(err)
	}
	return nil
}

// Journal returns what a systemd unit logged, from all boots, oldest first; an empty name means
// everything. It also reads the disk of a machine that is switched off.
func (m *Machine) Journal(ctx context.Context, unit string) (string, error) {
	args := []string{"--no-pager", "--quiet", "--output=short-iso-precise"}
	if unit != "" {
		args = append(args, "--unit="+unit)
	}
	if m.Running() {
		return m.output(ctx, nil, append([]string{"journalctl"}, args...)...)
	}
	args = append(args, "--directory="+filepath.Join(m.disk, "upper/var/log/journal"))
	out, err := exec.CommandContext(ctx, "journalctl", args...).Output()
	if err != nil {
		return "", fmt.Errorf("cannot read journal of %s: %w", m.Name, err)
	}
	return string(out), nil
}

// Addresses lists the addresses the kernel has on the machine's interfaces; none when switched off.
func (m *Machine) Addresses(ctx context.Context) ([]Address, error) {
	if !m.Running() {
		return nil, nil
	}
	return m.port.Addresses(ctx)
}
