package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/juju/names/v5"
	"github.com/juju/utils/v3"
	"github.com/juju/worker/v3"

	"github.com/juju/juju/core/lease"
	"github.com/juju/juju/core/presence"
	"github.com/juju/juju/state"
	"github.com/juju/juju/worker/multiwatcher"
)

// Config says where a controller listens, what it writes and whom it tells.
type Config struct {
	// Listener accepts the API's connections, without TLS; nil is a loopback TCP port of the
	// kernel's choice. Clients are told its address.
	Listener net.Listener
	// Socket is the path of a unix socket at which the API is served as well, for machines
	// without a network path to Listener; "" is none.
	Socket string
	// Cloud is where the machines that Juju wants come from; without its functions they are
	// pending for ever, and only AddMachine adds some.
	Cloud Cloud
	// Directory is an existing directory, below which are all files that stay: logs and the
	// client store. Juju also makes temporary files, which are gone after each request.
	Directory string
	// Model is the name of the model that machines and applications are in; "" is "lab".
	Model string
	// Report is told of what must not happen: a question of Juju's that the database does not
	// understand, a worker that ends. It is called by many goroutines, not after Close. Nil
	// tells nobody.
	Report func(error)
}

// Controller is a running controller. Its methods may be called by many goroutines.
type Controller struct {
	config         Config
	identity       identity
	pool           *state.StatePool
	model          *state.PooledState
	presence       presence.Recorder
	watchers       *multiwatcher.Worker
	door           *door // nil without a socket
	activity       *activity
	view           *view
	leases         *leaseTable
	controllerUUID string
	systemUUID     string // of the controller's own model
	modelUUID      string
	password       string // of admin

	closing sync.Once
	ending  chan struct{} // closed by Close
	closers []func() error
	closed  error

	mu     sync.Mutex
	nonces map[string]string // of machines, which state tells nobody
}

// Start makes a controller with an empty model; ctx bounds how long that may take. What Start
// began is ended where it fails.
func Start(ctx context.Context, config Config) (_ *Controller, err error) {
	if config.Model == "" {
		config.Model = "lab"
	}
	if config.Cloud.Wanted == nil {
		config.Cloud.Wanted = func(string) {}
	}
	if config.Cloud.Gone == nil {
		config.Cloud.Gone = func(string) {}
	}
	if config.Report == nil {
		config.Report = func(error) {}
	}
	if config.Listener == nil {
		if config.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("cannot listen for API clients: %w", err)
		}
	}
	c := &Controller{
		config: config, ending: make(chan struct{}), nonces: map[string]string{},
		activity: &activity{calls: map[string]int{}, running: map[string]Event{}},
	}
	c.onClose(func() error { return ignoreClosed(config.Listener.Close()) })
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot start Juju's controller: %w", err), c.Close())
		}
	}()
	for _, uuid := range []*string{&c.controllerUUID, &c.systemUUID, &c.modelUUID, &c.password} {
		id, err := utils.NewUUID()
		if err != nil {
			return nil, err
		}
		*uuid = id.String()
	}
	if c.identity, err = newIdentity(c.address().IP); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.path("log"), 0o700); err != nil {
		return nil, err
	}
	session, err := c.openDatabase()
	if err != nil {
		return nil, err
	}
	if err := c.initialize(session); err != nil {
		return nil, err
	}
	if err := c.serve(ctx); err != nil {
		return nil, err
	}
	if err := c.runModelWorkers(); err != nil {
		return nil, err
	}
	return c, c.writeClientStore()
}

// Close ends the controller: connections are closed and all of its goroutines are gone when
// it returns, but for those of the database client that sleep for up to 15 s before they see
// that they are not needed (github.com/juju/mgo/v3, server.go, pinger). It may be called again.
func (c *Controller) Close() error {
	c.closing.Do(func() {
		close(c.ending)
		var errs []error
		for i := len(c.closers) - 1; i >= 0; i-- {
			errs = append(errs, c.closers[i]())
		}
		c.closed = errors.Join(errs...)
	})
	return c.closed
}

// Address is where the API listens.
func (c *Controller) Address() string { return c.address().String() }

// ClientStore is the directory that JUJU_DATA must name for Juju's client to find this
// controller and its model.
func (c *Controller) ClientStore() string { return c.path("client") }

// Cut takes the controller away from those that reach it by the socket, until Restore: their
// connections are cut, and new ones refused.
func (c *Controller) Cut() error {
	if c.door == nil {
		return errors.New("cannot cut the controller off: it has no socket")
	}
	if err := c.door.cut(); err != nil {
		return fmt.Errorf("cannot cut the controller off: %w", err)
	}
	return nil
}

// Restore ends Cut.
func (c *Controller) Restore() error {
	if c.door == nil {
		return nil
	}
	return c.door.restore()
}

// SetLeader takes the leadership of a unit's application from who has it, and keeps it for the
// unit, whose agent claims it within the time of a lease.
func (c *Controller) SetLeader(unit string) error {
	application, err := names.UnitApplication(unit)
	if err != nil {
		return fmt.Errorf("cannot make %s the leader: %w", unit, err)
	}
	c.leases.reserve(lease.Key{
		Namespace: lease.ApplicationLeadershipNamespace, ModelUUID: c.modelUUID, Lease: application,
	}, unit)
	return nil
}

// State is Juju's own view of the model, for what has no word in the API.
func (c *Controller) State() *state.State { return c.model.State }

func (c *Controller) address() *net.TCPAddr { return c.config.Listener.Addr().(*net.TCPAddr) }

func (c *Controller) path(name string) string { return filepath.Join(c.config.Directory, name) }

// onClose has f called by Close, before what was registered earlier.
func (c *Controller) onClose(f func() error) { c.closers = append(c.closers, f) }

// own ends a worker at Close, and reports it when it ends before.
func (c *Controller) own(name string, w worker.Worker) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := w.Wait()
		select {
		case <-c.ending:
		default:
			c.config.Report(fmt.Errorf("the %s of Juju's controller ended: %w", name, orUnexplained(err)))
		}
	}()
	c.onClose(func() error {
		// What it says of this end is no news: the cleaner and others complain when their
		// watcher ends a moment before they see that they are to end too.
		_ = worker.Stop(w)
		<-ended
		return nil
	})
}

func orUnexplained(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
