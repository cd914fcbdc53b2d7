package controller

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Config holds what is fixed for the life of a model; the zero value is Juju's
// defaults in a model named "lab".
type Config struct {
	ModelName            string
	ModelUUID            string
	UpdateStatusInterval time.Duration // 1m to 60m; Juju's default is 5m
	RetryMin             time.Duration // first wait before a failed hook runs again; Juju's is 5s
	RetryMax             time.Duration // the waits double up to this; Juju's is 5m
	NoRetry              bool          // model option automatically-retry-hooks=false

	// OnUnitAdded is called when a unit that needs an agent appears and
	// OnUnitRemoved once such a unit has left the model. OnEvent is called for
	// every event. All three run one after the other on one goroutine that may
	// call back into the controller.
	OnUnitAdded   func(unit, machine string)
	OnUnitRemoved func(unit, machine string)
	OnEvent       func(Event)
}

// Controller is a model and the API server that agents talk to.
type Controller struct {
	cfg   Config
	start time.Time

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change of the model
	activity time.Time     // of the last change or agent call
	down     bool
	closed   bool

	machines  map[string]*machine
	apps      map[string]*application
	units     map[string]*unit
	relations map[int]*relation
	actions   map[string]*action
	secrets   map[string]*secret
	events    []Event
	calls     map[string]map[string]int // by unit and method

	nextRelation, nextAction, nextWatcher, nextSession int
	configVersion                                      int // of the model config
	updateStatus                                       map[string]int

	sessions map[string]*session

	queue    []func() // callbacks waiting for the dispatcher
	wake     chan struct{}
	finished chan struct{}

	server   *http.Server
	listener net.Listener
	conns    map[net.Conn]bool
}

// New returns a controller with an empty model; [Controller.Serve] makes it
// reachable.
func New(cfg Config) *Controller {
	cfg.ModelName = cmp.Or(cfg.ModelName, "lab")
	cfg.ModelUUID = cmp.Or(cfg.ModelUUID, "5d9b6f52-3f6e-4c0e-8a3c-9d1f6c1b2a70")
	cfg.UpdateStatusInterval = cmp.Or(cfg.UpdateStatusInterval, 5*time.Minute)
	cfg.RetryMin = cmp.Or(cfg.RetryMin, 5*time.Second)
	cfg.RetryMax = cmp.Or(cfg.RetryMax, 5*time.Minute)
	now := time.Now()
	c := &Controller{
		cfg:          cfg,
		start:        now,
		activity:     now,
		changed:      make(chan struct{}),
		machines:     map[string]*machine{},
		apps:         map[string]*application{},
		units:        map[string]*unit{},
		relations:    map[int]*relation{},
		actions:      map[string]*action{},
		secrets:      map[string]*secret{},
		sessions:     map[string]*session{},
		calls:        map[string]map[string]int{},
		updateStatus: map[string]int{},
		conns:        map[net.Conn]bool{},
		wake:         make(chan struct{}, 1),
		finished:     make(chan struct{}),
	}
	go c.dispatch()
	return c
}

// changedLocked wakes every watcher and waiter.
func (c *Controller) changedLocked() {
	c.activity = time.Now()
	c.broadcastLocked()
}

// broadcastLocked wakes the waiters without counting as activity.
func (c *Controller) broadcastLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// callbackLocked queues f for the dispatcher, which runs without the lock.
func (c *Controller) callbackLocked(f func()) {
	c.queue = append(c.queue, f)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// dispatch runs queued callbacks in order until Close.
func (c *Controller) dispatch() {
	defer close(c.finished)
	for range c.wake {
		for {
			c.mu.Lock()
			if len(c.queue) == 0 {
				closed := c.closed
				c.mu.Unlock()
				if closed {
					return
				}
				break
			}
			f := c.queue[0]
			c.queue = c.queue[1:]
			c.mu.Unlock()
			f()
		}
	}
}

// SetUpdateStatusInterval changes the model option update-status-hook-interval;
// Juju takes one minute to one hour.
func (c *Controller) SetUpdateStatusInterval(d time.Duration) error {
	if d < time.Minute || d > time.Hour {
		return fmt.Errorf("cannot set update-status-hook-interval to %v: Juju takes 1m to 60m", d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg.UpdateStatusInterval = d
	c.configVersion++
	c.changedLocked()
	return nil
}

// TriggerUpdateStatus lets the update-status timer of the named units go off now;
// without names, of every unit that has an agent.
func (c *Controller) TriggerUpdateStatus(units ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(units) == 0 {
		for name, u := range c.units {
			if u.hasAgent {
				units = append(units, name)
			}
		}
	}
	for _, name := range units {
		if _, ok := c.units[name]; !ok {
			return notFound("unit", name)
		}
		c.updateStatus[name]++
	}
	c.changedLocked()
	return nil
}

// sortedKeys returns the keys of m in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
