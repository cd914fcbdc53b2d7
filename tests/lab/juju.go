package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Juju is Juju's own controller, a program that lives as long as the lab, and Juju's own
// client. Juju's code is in neither this process nor this module.
type Juju struct {
	// Store is what JUJU_DATA must name for Juju's client to find the controller.
	Store string
	// Charms is the directory that commands are typed in: it has the lab's charm as
	// keepalived.charm, and the charms on the other side.
	Charms string

	client string // the program
	bin    string // a directory with nothing but the client, for PATH
	socket string // the directory of the controller's socket, which machines see
	on     listener
	cmd    *exec.Cmd
	in     io.WriteCloser
	err    *bytes.Buffer // what the controller said on its standard error output
	ended  chan struct{}

	mu      sync.Mutex
	next    int
	pending map[int]chan answer

	history sync.Mutex // held while events are asked for
	known   []Event
}

// listener hears what the controller says by itself.
type listener struct {
	wanted func(machine string)
	report func(error)
}

// question is a line to the controller's program, see tests/juju/cmd/controller.
type question struct {
	ID      int      `json:"id"`
	Provide *provide `json:"provide,omitempty"`
	Settled *settle  `json:"settled,omitempty"`
	Away    *bool    `json:"away,omitempty"`
	Calls   bool     `json:"calls,omitempty"`
	Units   bool     `json:"units,omitempty"`
	Leader  string   `json:"leader,omitempty"`
	Events  *after   `json:"events,omitempty"`
}

type after struct {
	After int `json:"after"`
}

type provide struct {
	Machine   string   `json:"machine"`
	Addresses []string `json:"addresses"`
}

type settle struct {
	Quiet  string   `json:"quiet"`
	Within string   `json:"within"`
	Down   []string `json:"down,omitempty"`
}

// answer is a line from it.
type answer struct {
	ID                   int
	Address, ClientStore string
	Agent                string
	Calls                map[string]int
	Events               []Event
	Units                map[string]unit
	Wanted               string
	Report, Error        string
}

// unit is what the controller's program says of a unit, which is what juju status shows.
type unit struct {
	Machine, Address string
	Workload, Agent  Said
	OpenPorts        []string
}

const (
	// jujuSocket is the controller's socket in the directory that machines see.
	jujuSocket = "api.sock"
	// jujuLimit bounds the controller's start and end, and one of the client's commands.
	jujuLimit = 2 * time.Minute
)

// startJuju starts the controller; its files are below dir. The charm is what
// keepalived.charm will be.
func startJuju(ctx context.Context, p Programs, dir, charm string, on listener) (*Juju, error) {
	j, err := newJuju(p, dir, charm, on)
	if err != nil {
		return nil, fmt.Errorf("cannot start Juju's controller: %w", err)
	}
	out, err := j.cmd.StdoutPipe()
	if err == nil {
		j.in, err = j.cmd.StdinPipe()
	}
	if err == nil {
		err = j.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start Juju's controller: %w", err)
	}
	ready := make(chan answer, 1)
	j.pending[0] = ready
	go j.hear(out)
	ctx, cancel := context.WithTimeout(ctx, jujuLimit)
	defer cancel()
	select {
	case a := <-ready:
		j.Store = a.ClientStore
		return j, nil
	case <-j.ended:
		err = errors.New("it ended")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, errors.Join(fmt.Errorf("cannot start Juju's controller: %w", err), j.close())
}

func newJuju(p Programs, dir, charm string, on listener) (*Juju, error) {
	j := &Juju{
		Charms: filepath.Join(dir, "charms"),
		client: filepath.Join(p.Dir, "juju"),
		bin:    filepath.Join(dir, "bin"),
		socket: filepath.Join(dir, "api"),
		on:     on,
		err:    &bytes.Buffer{},
		ended:  make(chan struct{}), pending: map[int]chan answer{},
	}
	home := filepath.Join(dir, "juju")
	for _, d := range []string{j.Charms, j.socket, j.bin, home} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(j.client, filepath.Join(j.bin, "juju")); err != nil {
		return nil, err
	}
	if err := writeStandIns(j.Charms); err != nil {
		return nil, err
	}
	if err := os.Symlink(charm, filepath.Join(j.Charms, "keepalived.charm")); err != nil {
		return nil, err
	}
	j.cmd = exec.Command(filepath.Join(p.Dir, "controller"), "-directory", home, "-socket", filepath.Join(j.socket, jujuSocket))
	j.cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home)
	j.cmd.Stderr = j.err
	return j, nil
}

// hear passes on what the controller says, until it ends.
func (j *Juju) hear(out io.Reader) {
	defer close(j.ended)
	for lines := json.NewDecoder(out); ; {
		var a answer
		if err := lines.Decode(&a); err != nil {
			if !errors.Is(err, io.EOF) {
				j.on.report(fmt.Errorf("cannot understand Juju's controller: %w", err))
			}
			return
		}
		switch {
		case a.Wanted != "":
			j.on.wanted(a.Wanted)
		case a.Report != "":
			j.on.report(errors.New(a.Report))
		default:
			j.mu.Lock()
			waiting := j.pending[a.ID]
			delete(j.pending, a.ID)
			j.mu.Unlock()
			if waiting != nil {
				waiting <- a
			}
		}
	}
}

// ask asks the controller's program.
func (j *Juju) ask(ctx context.Context, q question) (answer, error) {
	waiting := make(chan answer, 1)
	j.mu.Lock()
	j.next++
	q.ID = j.next
	j.pending[q.ID] = waiting
	err := json.NewEncoder(j.in).Encode(q)
	j.mu.Unlock()
	if err != nil {
		return answer{}, fmt.Errorf("cannot ask Juju's controller: %w", err)
	}
	select {
	case a := <-waiting:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-j.ended:
		return answer{}, errors.New("cannot ask Juju's controller: it has ended")
	case <-ctx.Done():
		return answer{}, fmt.Errorf("cannot wait for Juju's controller: %w", context.Cause(ctx))
	}
}

// close ends the controller.
func (j *Juju) close() error {
	err := j.in.Close()
	limit := time.AfterFunc(jujuLimit, func() { _ = j.cmd.Process.Kill() })
	defer limit.Stop()
	<-j.ended
	if ended := j.cmd.Wait(); ended != nil {
		err = errors.Join(err, fmt.Errorf("cannot end Juju's controller: %w: %s", ended, strings.TrimSpace(j.err.String())))
	}
	return err
}

// SetAway takes the controller away from all agents, or brings it back; Juju's client still
// reaches it.
func (j *Juju) SetAway(ctx context.Context, away bool) error {
	_, err := j.ask(ctx, question{Away: &away})
	return err
}

// Calls is how often units' agents called what, such as "unit-keepalived-0 Uniter.Life".
func (j *Juju) Calls(ctx context.Context) (map[string]int, error) {
	a, err := j.ask(ctx, question{Calls: true})
	return a.Calls, err
}

// units are all units; what goes wrong is told.
func (j *Juju) units(fault func(error)) map[string]Unit {
	ctx, cancel := context.WithTimeout(context.Background(), jujuLimit)
	defer cancel()
	a, err := j.ask(ctx, question{Units: true})
	fault(err)
	units := map[string]Unit{}
	for name, u := range a.Units {
		units[name] = Unit{Machine: u.Machine, Address: u.Address, Workload: u.Workload, Agent: u.Agent, OpenPorts: u.OpenPorts}
	}
	return units
}

// events are all events; what goes wrong is told.
func (j *Juju) events(fault func(error)) []Event {
	j.history.Lock()
	defer j.history.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), jujuLimit)
	defer cancel()
	a, err := j.ask(ctx, question{Events: &after{len(j.known)}})
	fault(err)
	j.known = append(j.known, a.Events...)
	return slices.Clone(j.known)
}

// Run runs a command of Juju's client: juju ARGS. It returns what it printed as its result;
// what else it said is in the error, if there is one.
func (j *Juju) Run(ctx context.Context, args ...string) (string, error) {
	var said bytes.Buffer
	out, err := j.run(ctx, &said, args)
	if err != nil {
		return out, fmt.Errorf("cannot juju %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out+said.String()))
	}
	return out, nil
}

// Type is Run of a line without quotes, as an operator types it after "juju", and returns
// all that the operator reads.
func (j *Juju) Type(ctx context.Context, line string) (string, error) {
	var said bytes.Buffer
	out, err := j.run(ctx, &said, strings.Fields(line))
	all := strings.TrimSpace(said.String() + out)
	if err != nil {
		return all, fmt.Errorf("cannot juju %s: %w: %s", line, err, all)
	}
	return all, nil
}

func (j *Juju) run(ctx context.Context, said io.Writer, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, jujuLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, j.client, args...)
	cmd.Dir = j.Charms
	home := filepath.Dir(j.Store)
	cmd.Env = append(os.Environ(), "JUJU_DATA="+j.Store, "HOME="+home, "TMPDIR="+home)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, said
	err := cmd.Run()
	return strings.TrimRight(out.String(), "\n"), err
}

// ModelStatus is what juju status --format json says, as far as the lab asks.
type ModelStatus struct {
	Applications map[string]Application
	Machines     map[string]struct {
		State    Said     `json:"juju-status"`
		Address  string   `json:"dns-name"`
		Instance string   `json:"instance-id"`
		IPs      []string `json:"ip-addresses"`
	}
}

// Application is an application in ModelStatus.
type Application struct {
	Charm      string
	CharmRev   int `json:"charm-rev"`
	Base       struct{ Name, Channel string }
	State      Said `json:"application-status"`
	Units      map[string]Unit
	Principals []string `json:"subordinate-to"`
}

// Unit is a unit in ModelStatus.
type Unit struct {
	Workload     Said `json:"workload-status"`
	Agent        Said `json:"juju-status"`
	Leader       bool
	Machine      string   // of a principal
	Address      string   `json:"public-address"`
	OpenPorts    []string `json:"open-ports"`
	Subordinates map[string]Unit
}

// Said is a status and its message.
type Said struct{ Current, Message string }

// Status asks Juju's client for the model's status.
func (j *Juju) Status(ctx context.Context) (ModelStatus, error) {
	var s ModelStatus
	text, err := j.Run(ctx, "status", "--format", "json")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("cannot read juju status: %w", err)
	}
	return s, nil
}
