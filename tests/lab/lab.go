// Package lab joins the halves of the lab: machines booted with systemd on a
// network of their own, and Juju's own controller, client and agents. A Lab is what a cloud
// with a Juju model is to an operator: deploy, integrate, configure, break, watch.
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

	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/probe"
)

// Lab is one model on one set of machines.
type Lab struct {
	// Juju is Juju's controller and client.
	Juju *Juju
	// Net holds the machines, the switch and the client.
	Net *machine.Lab
	// Holders follows which machine has which address.
	Holders *probe.Observer

	programs Programs
	charm    string // the packed charm, an absolute path
	progress io.Writer
	patience time.Duration
	retry    time.Duration
	waits    waits

	mu       sync.Mutex
	machines map[string]*machine.Machine // by Juju's machine ID
	upgraded map[string]bool             // machines between prepare and complete
	agents   sync.WaitGroup
	faults   []error
}

// Options say what a lab is made of.
type Options struct {
	// Charm is the path of the packed charm.
	Charm string
	// Progress gets one line per thing that takes time; nil for silence.
	Progress io.Writer
	// Retry is the longest time until a hook that failed is run again; zero is Juju's own:
	// 5 s, then twice as long each time, at most 5 min.
	Retry time.Duration
	// Patience is how long a connection to a virtual IP may take before it counts
	// as lost, less than the second after which TCP tries again (RFC 6298 section
	// 2.1); zero is probe.DefaultLimit. A long one bears a busy host, and attempts
	// that start in an outage fail all the same.
	Patience time.Duration
}

// New makes a lab without machines. Close ends it; the caller also defers
// machine.CloseOnSignal when nobody else handles signals.
func New(ctx context.Context, o Options) (*Lab, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	charm, err := filepath.Abs(o.Charm)
	if err != nil {
		return nil, err
	}
	image, programs, err := Prepare(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	net, err := machine.New(ctx, image)
	if err != nil {
		return nil, err
	}
	l := &Lab{Net: net, Holders: probe.NewObserver(), programs: programs, charm: charm, progress: o.Progress, patience: o.Patience, retry: o.Retry, machines: map[string]*machine.Machine{}, upgraded: map[string]bool{}}
	net.OnPower(l.Holders.Power)
	l.Juju, err = startJuju(ctx, programs, net.Dir, charm, listener{wanted: l.provide, report: l.fault})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends the machines and removes everything the lab made.
func (l *Lab) Close() error {
	err := l.Net.Close() // first: agents without a machine ask for nothing any more
	l.agents.Wait()
	l.Holders.Close()
	if l.Juju != nil { // it had started
		err = errors.Join(err, l.Juju.close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(append([]error{err}, l.faults...)...)
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

// Units are all units of the model, by name; none when Juju does not answer.
func (l *Lab) Units() map[string]Unit {
	return l.Juju.units(l.fault)
}

// MachineOf returns the machine that a unit lives on.
func (l *Lab) MachineOf(unit string) (*machine.Machine, error) {
	u, ok := l.Units()[unit]
	if !ok {
		return nil, fmt.Errorf("cannot find unit %q", unit)
	}
	return l.Machine(u.Machine)
}

// UnitOn returns the unit of an application on a machine; false when it has none
// there.
func (l *Lab) UnitOn(application, id string) (string, bool) {
	for name, u := range l.Units() {
		if strings.HasPrefix(name, application+"/") && u.Machine == id {
			return name, true
		}
	}
	return "", false
}

// AddMachines boots machines, all at once, and returns Juju's IDs of them.
func (l *Lab) AddMachines(ctx context.Context, count int) ([]string, error) {
	said, err := l.Juju.Type(ctx, fmt.Sprintf("add-machine -n %d --base %s", count, principalBase))
	if err != nil {
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(said) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "created machine "); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) != count {
		return nil, fmt.Errorf("cannot understand juju add-machine: %s", said)
	}
	return ids, l.Settled(ctx)
}

// boot boots a machine that sees the directory of the controller's socket.
func (l *Lab) boot(ctx context.Context, id, socket string) (*machine.Machine, error) {
	m, err := l.Net.NewMachine(ctx, "juju-"+id, append(prometheusBind(),
		machine.Bind{Host: socket, Machine: agentRun},
		machine.Bind{Host: l.programs.Dir, Machine: agentPrograms, ReadOnly: true})...)
	if err != nil {
		return nil, err
	}
	if err := m.Start(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.machines[id] = m
	return m, nil
}

// Kill cuts a machine's power; Heal switches it on again with the same disk.
func (l *Lab) Kill(ctx context.Context, id string) error {
	return l.off(ctx, id, (*machine.Machine).Kill)
}

// ShutDown switches a machine off in good order.
func (l *Lab) ShutDown(ctx context.Context, id string) error {
	return l.off(ctx, id, (*machine.Machine).Stop)
}

func (l *Lab) off(ctx context.Context, id string, how func(*machine.Machine, context.Context) error) error {
	m, err := l.Machine(id)
	if err != nil {
		return err
	}
	return how(m, ctx)
}

// Heal boots a killed machine; its agents start with it.
func (l *Lab) Heal(ctx context.Context, id string) error {
	defer l.Toil(ctx)()
	m, err := l.Machine(id)
	if err != nil {
		return err
	}
	return m.Heal(ctx)
}

// settleLimit bounds how long hooks may take to come to rest on a few machines; every
// unit has a hook for every other one.
const (
	settleLimit = 6 * time.Minute
	fewMachines = 4
)

// Settled waits until every agent is at rest; an error shows the model as it is.
func (l *Lab) Settled(ctx context.Context) error {
	defer l.waits.count(&l.waits.settle)()
	l.mu.Lock()
	limit := settleLimit * time.Duration(max(1, len(l.machines)/fewMachines))
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := l.settled(ctx)
	l.mu.Lock()
	err = errors.Join(append([]error{err}, l.faults...)...)
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, l.Status())
	}
	return nil
}

// settleQuiet is how long nothing may happen before a model counts as settled.
const settleQuiet = 500 * time.Millisecond

func (l *Lab) settled(ctx context.Context) error {
	q := &settle{Quiet: patience.With(settleQuiet).String(), Within: settleLimit.String()}
	if end, ok := ctx.Deadline(); ok {
		q.Within = time.Until(end).String()
	}
	l.mu.Lock()
	for id, m := range l.machines {
		if !m.Running() {
			q.Down = append(q.Down, id)
		}
	}
	l.mu.Unlock()
	_, err := l.Juju.ask(ctx, question{Settled: q})
	return err
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
