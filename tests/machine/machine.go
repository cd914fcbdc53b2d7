package machine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// powerOffSignal is SIGRTMIN+4, by which systemd powers a machine off in good order (systemd(1)).
const powerOffSignal = syscall.Signal(34 + 4)

// stopLimit bounds a clean shutdown; afterwards the power is cut.
const stopLimit = 20 * time.Second

// A Bind makes a directory or file of the host visible in a machine, changes in both directions.
type Bind struct {
	// Host is the path on the host, Machine that in the machine. Paths with a colon are refused.
	Host, Machine string
	// ReadOnly forbids the machine to write.
	ReadOnly bool
}

func (b Bind) option() string {
	if b.ReadOnly {
		return "--bind-ro=" + b.Host + ":" + b.Machine
	}
	return "--bind=" + b.Host + ":" + b.Machine
}

// A Machine is a Debian with systemd. It is made switched off. Its disk keeps what was written
// until Destroy or the lab's end, also through Kill; its address stays the same.
type Machine struct {
	// Name is the machine's host name, unique in the lab.
	Name string

	lab   *Lab
	port  *Port
	disk  string
	binds []Bind

	power sync.Mutex // held while the machine is switched on or off

	mu  sync.Mutex
	now *session // nil while switched off
}

// NewMachine makes a machine, switched off, with an empty disk over the lab's base image.
func (l *Lab) NewMachine(ctx context.Context, name string, binds ...Bind) (*Machine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.image == nil {
		return nil, fmt.Errorf("cannot make machine %s: the lab is closed or has no base image", name)
	}
	if !validName.MatchString(name) || name == clientName || name == "switch" {
		return nil, fmt.Errorf("cannot make machine: %q is not a usable host name", name)
	}
	for _, m := range l.machines {
		if m.Name == name {
			return nil, fmt.Errorf("cannot make machine %s: there is one of that name", name)
		}
	}
	port, err := l.Network.reserve(name)
	if err != nil {
		return nil, err
	}
	m := &Machine{Name: name, lab: l, port: port, disk: filepath.Join(l.disks, name), binds: binds}
	if err := m.format(); err != nil {
		return nil, fmt.Errorf("cannot make disk of %s: %w", name, err)
	}
	l.machines = append(l.machines, m)
	return m, nil
}

// format makes the disk: empty but for the machine's identity.
func (m *Machine) format() error {
	for _, dir := range []string{"upper/etc", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(m.disk, dir), 0o755); err != nil {
			return err
		}
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails, says its documentation
	etc := filepath.Join(m.disk, "upper/etc")
	if err := os.WriteFile(filepath.Join(etc, "machine-id"), []byte(hex.EncodeToString(id)+"\n"), 0o444); err != nil {
		return err
	}
	hosts := fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", m.port.IPv4.Addr(), m.Name)
	if err := os.WriteFile(filepath.Join(etc, "hosts"), []byte(hosts), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(etc, "hostname"), []byte(m.Name+"\n"), 0o644)
}

// Port is the machine's place at the switch: its addresses and network namespace.
func (m *Machine) Port() *Port { return m.port }

// Running says whether the machine has power.
func (m *Machine) Running() bool { return m.session() != nil }

// PID is the process ID, on the host, of the machine's PID 1; 0 while switched off.
func (m *Machine) PID() int {
	if s := m.session(); s != nil {
		return s.leader
	}
	return 0
}

func (m *Machine) session() *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *Machine) setSession(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = s
}

// Start switches the machine on and returns when systemd has reached its default target.
func (m *Machine) Start(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	return m.start(ctx)
}

// Heal is Start under the name that scenarios use after Kill: the same disk, the same address.
func (m *Machine) Heal(ctx context.Context) error { return m.Start(ctx) }

func (m *Machine) start(ctx context.Context) error {
	if m.Running() {
		return fmt.Errorf("cannot start %s: it is running", m.Name)
	}
	if m.lab.isClosed() {
		return fmt.Errorf("cannot start %s: the lab is closed", m.Name)
	}
	if _, err := m.lab.Network.Plug(ctx, m.Name); err != nil {
		return err
	}
	m.lab.power(m, true, time.Now())
	s, err := m.boot(ctx)
	if err != nil {
		err = fmt.Errorf("cannot start %s: %w", m.Name, err)
		m.lab.power(m, false, time.Now())
		return errors.Join(err, m.lab.Network.Unplug(context.WithoutCancel(ctx), m.port))
	}
	m.setSession(s)
	return nil
}

// Kill cuts the machine's power: the cable first, so that nothing it still says is heard, then
// every process at once, then the network namespace. It does nothing to a machine without power.
func (m *Machine) Kill(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	s := m.session()
	if s == nil {
		return nil
	}
	if err := m.lab.Network.Cut(ctx, m.port); err != nil {
		return err
	}
	return m.off(ctx, s, time.Now())
}

// Stop shuts the machine down in good order, services first, and cuts the power when that takes
// more than 20 s.
func (m *Machine) Stop(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	return m.stop(ctx)
}

// Reboot is Stop and Start. The network comes back without what was added to it by hand, as on a
// real machine. A reboot asked for inside the machine has the same effect.
func (m *Machine) Reboot(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	if err := m.stop(ctx); err != nil {
		return err
	}
	return m.start(ctx)
}

func (m *Machine) stop(ctx context.Context) error {
	s := m.session()
	if s == nil {
		return nil
	}
	if err := syscall.Kill(s.leader, powerOffSignal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop %s: %w", m.Name, err)
	}
	select {
	case <-s.done:
	case <-ctx.Done():
	case <-time.After(stopLimit):
	}
	return m.off(context.WithoutCancel(ctx), s, time.Now())
}

// off removes what is left of a session. The caller holds the power lock.
func (m *Machine) off(ctx context.Context, s *session, at time.Time) error {
	m.setSession(nil)
	err := s.kill()
	err = errors.Join(err, m.lab.Network.Unplug(ctx, m.port))
	m.lab.power(m, false, at)
	if err != nil {
		return fmt.Errorf("cannot switch %s off: %w", m.Name, err)
	}
	return nil
}

// ended is told that a session's systemd-nspawn has exited. When nobody here switched it off, the
// machine did so itself, and one that asked for a reboot gets it.
func (m *Machine) ended(s *session) {
	m.power.Lock()
	defer m.power.Unlock()
	if m.session() != s {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootLimit)
	defer cancel()
	err := m.off(ctx, s, time.Now())
	if err == nil && s.cmd.ProcessState.ExitCode() == rebootStatus {
		err = m.start(ctx)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "machine %s: %v\n", m.Name, err)
	}
}

// abandon waits for whoever is switching the machine and then forgets its session: the lab, which
// is closed by now, does the rest, and nobody can start the machine again.
func (m *Machine) abandon() {
	m.power.Lock()
	defer m.power.Unlock()
	m.setSession(nil)
}

// Destroy cuts the power and deletes the disk. The machine's name can be used again.
func (m *Machine) Destroy(ctx context.Context) error {
	if err := m.Kill(ctx); err != nil {
		return err
	}
	m.lab.forget(m)
	if err := os.RemoveAll(m.disk); err != nil {
		return fmt.Errorf("cannot delete disk of %s: %w", m.Name, err)
	}
	return nil
}

func (m *Machine) errOff() error { return fmt.Errorf("machine %s is switched off", m.Name) }
