package machine

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed boot.sh
var bootScript string

// rebootStatus is what systemd-nspawn exits with when the machine rebooted itself
// (systemd-nspawn(1), --keep-unit: the caller is to start it again).
const rebootStatus = 133

// bootLimit bounds a boot; usual is well below a second.
const bootLimit = 60 * time.Second

// A session is one run of a machine, from power on to power off.
type session struct {
	cmd    *exec.Cmd
	group  cgroup
	execs  *os.File // control group for commands run from outside
	leader int      // the machine's PID 1, as the host sees it
	done   chan struct{}
}

// boot starts systemd in a container and waits until it has reached its default target.
func (m *Machine) boot(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	group, err := m.lab.group.child(m.Name)
	if err != nil {
		return nil, err
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.notifyPath(), Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen for readiness: %w", err)
	}
	defer os.Remove(m.notifyPath()) // which closing a datagram socket does not do
	defer notify.Close()
	s := &session{group: group, done: make(chan struct{})}
	if err := m.spawn(s); err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx, notify); err != nil {
		err = fmt.Errorf("%w\n%s", err, lastLines(m.consolePath(), 12))
		return nil, errors.Join(err, s.kill())
	}
	execs, err := group.child("payload/lab-exec")
	if err == nil {
		s.execs, err = os.Open(string(execs))
	}
	if err != nil {
		return nil, errors.Join(err, s.kill())
	}
	return s, nil
}

// spawn starts systemd-nspawn, born into the machine's control group and a new mount namespace, in
// a session that the terminal's Ctrl-C does not reach.
func (m *Machine) spawn(s *session) error {
	console, err := os.OpenFile(m.consolePath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open console log: %w", err)
	}
	defer console.Close()
	group, err := os.Open(string(s.group))
	if err != nil {
		return fmt.Errorf("cannot open control group: %w", err)
	}
	defer group.Close()
	args := []string{"-euc", bootScript, "sh", m.lab.image.Root, m.disk, m.Name, m.port.NetNS}
	for _, bind := range m.binds {
		args = append(args, bind.option())
	}
	s.cmd = exec.Command("/bin/sh", args...)
	s.cmd.Stdout, s.cmd.Stderr = console, console
	s.cmd.Env = []string{"PATH=" + machinePath, "LC_ALL=C.UTF-8", "NOTIFY_SOCKET=" + m.notifyPath()}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Unshareflags: syscall.CLONE_NEWNS, UseCgroupFD: true, CgroupFD: int(group.Fd()),
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start systemd-nspawn: %w", err)
	}
	go func() {
		_ = s.cmd.Wait() // the status is read from ProcessState
		close(s.done)
		m.ended(s)
	}()
	return nil
}

// awaitReady reads systemd-nspawn's messages until the machine is up and its PID 1 is known.
func (s *session) awaitReady(ctx context.Context, notify *net.UnixConn) error {
	buf := make([]byte, 4096)
	for ready := false; !ready || s.leader == 0; {
		select {
		case <-s.done:
			return fmt.Errorf("machine ended while it booted: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for boot: %w", ctx.Err())
		default:
		}
		if err := notify.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return fmt.Errorf("cannot wait for boot: %w", err)
		}
		n, err := notify.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read readiness: %w", err)
		}
		for _, line := range strings.Split(string(buf[:n]), "\n") {
			name, value, _ := strings.Cut(line, "=")
			switch name {
			case "READY":
				ready = value == "1"
			case "X_NSPAWN_LEADER_PID":
				if s.leader, err = strconv.Atoi(value); err != nil {
					return fmt.Errorf("cannot read process ID of machine: %w", err)
				}
			}
		}
	}
	return nil
}

// kill ends every process of the session and removes its control group.
func (s *session) kill() error {
	if s.execs != nil {
		s.execs.Close()
	}
	if err := s.group.kill(); err != nil {
		return err
	}
	<-s.done // systemd-nspawn was in the group
	return s.group.remove()
}

func (m *Machine) notifyPath() string  { return filepath.Join(m.lab.Dir, m.Name+".notify") }
func (m *Machine) consolePath() string { return filepath.Join(m.disk, "console.log") }
