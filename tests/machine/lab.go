package machine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// clientName is the name of the client's port.
const clientName = "client"

// cleanupLimit bounds how long taking a lab down may take.
const cleanupLimit = 60 * time.Second

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// A Lab is one set of machines on one switch with one client. Any number of labs, of this process
// or others, can be up at once without meeting.
type Lab struct {
	// ID is the lab's short random name, part of the name of everything it makes.
	ID string
	// Dir is the lab's run-time directory, gone after Close. Callers may put sockets there.
	Dir string
	// Network is the lab's switch.
	Network *Network

	image  *BaseImage
	disks  string // directory of the machines' disks
	group  cgroup
	client *Port
	probes *os.File // control group of processes in the client's namespace

	closing sync.Mutex // held by Close

	mu       sync.Mutex
	machines []*Machine
	onPower  []func(name, netns string, on bool, at time.Time)
	closed   bool
}

// New makes a lab: its switch, its client, no machine yet. It first sweeps what dead labs left.
// image may be nil when the lab will have no machines.
func New(ctx context.Context, image *BaseImage) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot make lab: it needs root")
	}
	if err := CleanStale(ctx); err != nil {
		return nil, err
	}
	cache := CacheDir()
	if image != nil {
		cache = image.Cache
	}
	id := make([]byte, 3)
	_, _ = rand.Read(id) // never fails, says its documentation
	l := &Lab{ID: hex.EncodeToString(id), image: image}
	l.Dir = filepath.Join(runDir, l.ID)
	l.disks = filepath.Join(cache, "labs", l.ID)
	if err := l.make(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) make(ctx context.Context) (err error) {
	// The owner's record comes first: whatever follows can then be swept by ID.
	if err := recordOwner(l.ID, l.disks); err != nil {
		return err
	}
	if err := os.MkdirAll(l.disks, 0o755); err != nil {
		return fmt.Errorf("cannot make directory for disks: %w", err)
	}
	if l.group, err = labCgroup(l.ID); err != nil {
		return err
	}
	group, err := l.group.child(clientName)
	if err != nil {
		return err
	}
	if l.probes, err = os.Open(string(group)); err != nil {
		return fmt.Errorf("cannot open control group of client: %w", err)
	}
	if l.Network, err = newNetwork(ctx, netnsPrefix(l.ID)); err != nil {
		return err
	}
	l.client, err = l.Network.Plug(ctx, clientName)
	return err
}

// Base is what the lab's machines run; empty when the lab has no machines.
func (l *Lab) Base() Base {
	if l.image == nil {
		return ""
	}
	return l.image.Base
}

// Client is the port of the lab's client, at which no machine runs.
func (l *Lab) Client() *Port { return l.client }

// ClientCommand prepares a command that runs on the host's file system but in the client's network
// namespace. It ends with the lab at the latest.
func (l *Lab) ClientCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	return l.CommandAt(ctx, l.client, name, args...)
}

// CommandAt is ClientCommand at another port, such as one that a scenario plugged in for a
// stranger, or that of a machine.
func (l *Lab) CommandAt(ctx context.Context, port *Port, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + port.NetNS, "--", name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, UseCgroupFD: true, CgroupFD: int(l.probes.Fd()),
	}
	return cmd
}

// OnPower has f called whenever a machine gets (on) or loses power. For a loss the time is that
// of the cut and the call comes when nothing of the machine is left.
func (l *Lab) OnPower(f func(name, netns string, on bool, at time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onPower = append(l.onPower, f)
}

func (l *Lab) power(m *Machine, on bool, at time.Time) {
	l.mu.Lock()
	listeners := slices.Clone(l.onPower)
	l.mu.Unlock()
	for _, f := range listeners {
		f(m.Name, m.port.NetNS, on, at)
	}
}

// Machines lists the lab's machines in the order they were made.
func (l *Lab) Machines() []*Machine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.machines)
}

// forget takes a destroyed machine off the list and gives its address back.
func (l *Lab) forget(m *Machine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.machines = slices.DeleteFunc(l.machines, func(other *Machine) bool { return other == m })
	l.Network.release(m.Name)
}

// Close ends every machine and removes everything the lab made. It may be called again, also from
// another goroutine while machines boot, and goes on after a fault with what is left.
func (l *Lab) Close() error {
	l.closing.Lock()
	defer l.closing.Unlock()
	l.mu.Lock()
	again := l.closed
	l.closed = true
	machines := slices.Clone(l.machines)
	l.mu.Unlock()
	if again {
		return nil
	}
	var err error
	if l.group != "" {
		err = l.group.kill() // also ends boots and commands under way, so that their locks come free
	}
	for _, m := range machines {
		m.abandon()
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
	defer cancel()
	if l.probes != nil {
		l.probes.Close()
	}
	return errors.Join(err, sweep(ctx, l.ID, l.disks))
}

// isClosed says whether Close has begun.
func (l *Lab) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
