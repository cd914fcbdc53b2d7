// Package lab joins the halves of the lab: machines booted with systemd on a
// network of their own, and Juju's unit agents on them against a model that
// stands in for the controller. A Lab is what a cloud with a Juju model is to an
// operator: deploy, integrate, configure, break, watch.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"keepalived-charm/tests/controller"
	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/probe"
)

// Lab is one model on one set of machines.
type Lab struct {
	// Model is the stand-in for the controller.
	Model *controller.Controller
	// Net holds the machines, the switch and the client.
	Net *machine.Lab
	// Holders follows which machine has which address.
	Holders *probe.Observer

	programs Programs
	charm    controller.Charm
	progress io.Writer
	patience time.Duration

	mu       sync.Mutex
	machines map[string]*machine.Machine // by Juju's machine ID
	next     int
	revision int // the last one that Refresh went to
	agents   sync.WaitGroup
	faults   []error
}

// Options say what a lab is made of.
type Options struct {
	// Charm is the path of the packed charm.
	Charm string
	// Progress gets one line per thing that takes time; nil for silence.
	Progress io.Writer
	// Model is passed to the controller.
	Model controller.Config
	// Patience is how long a connection to a virtual IP may take before it counts
	// as lost, less than the second after which TCP tries again (RFC 6298 section
	// 2.1); zero is probe.DefaultLimit. A long one bears a busy host, and attempts
	// that start in an outage fail all the same.
	Patience time.Duration
}

// socketName is the controller's socket in the lab's directory.
const socketName = "controller.sock"

// New makes a lab without machines. Close ends it; the caller also defers
// machine.CloseOnSignal when nobody else handles signals.
func New(ctx context.Context, o Options) (*Lab, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	charm, err := ReadCharm(o.Charm)
	if err != nil {
		return nil, err
	}
	image, err := machine.EnsureBase(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	programs, err := Build(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	net, err := machine.New(ctx, image)
	if err != nil {
		return nil, err
	}
	l := &Lab{Net: net, Holders: probe.NewObserver(), programs: programs, charm: charm, progress: o.Progress, patience: o.Patience, machines: map[string]*machine.Machine{}}
	net.OnPower(l.Holders.Power)
	o.Model.OnUnitAdded = l.startAgent
	o.Model.OnUnitRemoved = l.stopAgent
	l.Model = controller.New(o.Model)
	if err := l.Model.Serve(filepath.Join(net.Dir, socketName)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends the machines and removes everything the lab made.
func (l *Lab) Close() error {
	err := l.Net.Close() // first: agents without a machine ask for nothing any more
	l.agents.Wait()
	l.Holders.Close()
	return errors.Join(err, l.Model.Close())
}

// say prints one line of progress.
func (l *Lab) say(format string, args ...any) {
	fmt.Fprintf(l.progress, format+"\n", args...)
}

// fault remembers what went wrong in the background; Settled returns it.
func (l *Lab) fault(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, err)
}

// Machine returns the machine with one of Juju's IDs.
func (l *Lab) Machine(id string) (*machine.Machine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.machines[id]
	if !ok {
		return nil, fmt.Errorf("cannot find machine %q", id)
	}
	return m, nil
}

// MachineOf returns the machine that a unit lives on.
func (l *Lab) MachineOf(unit string) (*machine.Machine, error) {
	u, ok := l.Model.Status().Unit(unit)
	if !ok {
		return nil, fmt.Errorf("cannot find unit %q", unit)
	}
	return l.Machine(u.Machine)
}

// UnitOn returns the unit of an application on a machine; false when it has none
// there.
func (l *Lab) UnitOn(application, id string) (string, bool) {
	for _, u := range l.Model.Status().Units {
		if u.Application == application && u.Machine == id {
			return u.Name, true
		}
	}
	return "", false
}

// AddMachines boots machines, all at once, and returns their IDs.
func (l *Lab) AddMachines(ctx context.Context, count int) ([]string, error) {
	defer l.Toil(ctx)()
	ids := make([]string, count)
	errs := make([]error, count)
	var group sync.WaitGroup
	for i := range count {
		l.mu.Lock()
		ids[i] = fmt.Sprint(l.next)
		l.next++
		l.mu.Unlock()
		group.Go(func() { errs[i] = l.addMachine(ctx, ids[i]) })
	}
	group.Wait()
	return ids, errors.Join(errs...)
}

func (l *Lab) addMachine(ctx context.Context, id string) error {
	m, err := l.Net.NewMachine(ctx, "juju-"+id,
		machine.Bind{Host: l.Net.Dir, Machine: agentRun},
		machine.Bind{Host: l.programs.Dir, Machine: agentPrograms, ReadOnly: true})
	if err != nil {
		return err
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	l.machines[id] = m
	l.mu.Unlock()
	p := m.Port()
	return l.Model.AddMachine(id,
		controller.Address{Value: p.IPv4.Addr().String(), CIDR: p.IPv4.Masked().String(), Interface: "eth0"},
		controller.Address{Value: p.IPv6.Addr().String(), CIDR: p.IPv6.Masked().String(), Interface: "eth0"})
}

// Kill cuts a machine's power; Heal switches it on again with the same disk.
func (l *Lab) Kill(ctx context.Context, id string) error {
	m, err := l.Machine(id)
	if err != nil {
		return err
	}
	if err := m.Kill(ctx); err != nil {
		return err
	}
	return l.Model.SetMachineDown(id, true)
}

// Heal boots a killed machine; its agents start with it.
func (l *Lab) Heal(ctx context.Context, id string) error {
	defer l.Toil(ctx)()
	m, err := l.Machine(id)
	if err != nil {
		return err
	}
	if err := m.Heal(ctx); err != nil {
		return err
	}
	return l.Model.SetMachineDown(id, false)
}

// settleLimit bounds how long hooks may take to come to rest on a few machines; every
// unit has a hook for every other one.
const (
	settleLimit = 6 * time.Minute
	fewMachines = 4
)

// Settled waits until every agent is at rest; an error shows the model as it is.
func (l *Lab) Settled(ctx context.Context) error {
	l.mu.Lock()
	limit := settleLimit * time.Duration(max(1, len(l.machines)/fewMachines))
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := l.Model.Settled(ctx)
	l.mu.Lock()
	err = errors.Join(append([]error{err}, l.faults...)...)
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, l.Model.Status())
	}
	return nil
}

// Exec runs a shell script on a unit's machine, or on a machine given by ID.
func (l *Lab) Exec(ctx context.Context, target, script string) (machine.Result, error) {
	find := l.Machine
	if strings.Contains(target, "/") {
		find = l.MachineOf
	}
	m, err := find(target)
	if err != nil {
		return machine.Result{}, err
	}
	return m.Exec(ctx, "sh", "-c", script)
}
