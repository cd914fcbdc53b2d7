package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/juju/clock"
	jujuerrors "github.com/juju/errors"
	"github.com/juju/loggo"
	"github.com/juju/worker/v3"

	leadershipapi "github.com/juju/juju/api/agent/leadership"
	"github.com/juju/juju/api/agent/retrystrategy"
	"github.com/juju/juju/core/machinelock"
	"github.com/juju/juju/rpc/params"
	jujuworker "github.com/juju/juju/worker"
	"github.com/juju/juju/worker/leadership"

	"keepalived-charm/tests/controller/wire"
)

// agent is what outlives the connection to the controller.
type agent struct {
	options
	log      loggo.Logger
	lock     machinelock.Lock
	reporter *wire.Reporter
}

// reconnectDelay is the pause between attempts to reach the controller.
const reconnectDelay = 500 * time.Millisecond

// serve runs the unit until it is removed or ctx ends.
func serve(ctx context.Context, o options) error {
	if err := installHookTool(o); err != nil {
		return err
	}
	lock, err := newMachineLock(o.unit.String(), o.dataDir)
	if err != nil {
		return fmt.Errorf("cannot create machine lock: %w", err)
	}
	a := &agent{options: o, log: loggo.GetLogger("juju.lab.agent"), lock: lock, reporter: wire.NewReporter()}
	for ctx.Err() == nil {
		err := a.connect(ctx)
		if errors.Is(err, errRemoved) || errors.Is(err, wire.ErrNoUnit) {
			a.log.Infof("%s is not in the model any longer", o.unit.Id())
			return nil
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warningf("unit worker stopped: %v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectDelay):
		}
	}
	return nil
}

var errRemoved = errors.New("unit removed")

// connect runs the unit worker for the length of one connection.
func (a *agent) connect(ctx context.Context) error {
	s, err := wire.Dial(ctx, a.socket, a.unit.Id())
	if err != nil {
		return err
	}
	defer s.Close()
	go a.reporter.Run(s)
	caller := &caller{session: s}

	err = a.run(ctx, s, caller)
	if jujuerrors.Is(err, jujuworker.ErrTerminateAgent) {
		if err := a.remove(caller); err != nil {
			return fmt.Errorf("cannot remove dead unit: %w", err)
		}
		return errRemoved
	}
	return err
}

// run starts the workers of a unit and returns the error of the first that stops;
// nil if ctx ended.
func (a *agent) run(ctx context.Context, s *wire.Session, c *caller) error {
	retry, err := retrystrategy.NewClient(c).RetryStrategy(a.unit)
	if err != nil {
		return fmt.Errorf("cannot read retry strategy: %w", err)
	}
	timer, err := newUpdateStatusTimer(c)
	if err != nil {
		return fmt.Errorf("cannot watch for update-status: %w", err)
	}
	defer timer.stop()
	tracker := leadership.NewTracker(a.unit, leadershipapi.NewClient(c), clock.WallClock, a.guarantee)
	// Its error is the one that follows or of no interest.
	defer func() { _ = worker.Stop(tracker) }()
	u, err := a.newUniter(c, tracker, timer, retry)
	if err != nil {
		return fmt.Errorf("cannot start unit worker: %w", err)
	}
	select {
	case err := <-waited(u):
		return err
	case err := <-waited(tracker):
		a.log.Debugf("leadership tracker stopped: %v", err)
	case <-s.Done():
		a.log.Infof("controller is away")
	case <-ctx.Done():
	}
	return worker.Stop(u)
}

// waited delivers the error a worker ends with.
func waited(w worker.Worker) <-chan error {
	done := make(chan error, 1)
	go func() { done <- w.Wait() }()
	return done
}

// remove does the machine agent's part: a dead unit is taken out of the model.
func (a *agent) remove(c *caller) error {
	args := params.Entities{Entities: []params.Entity{{Tag: a.unit.String()}}}
	var out params.ErrorResults
	if err := c.APICall("Deployer", 1, "", "Remove", args, &out); err != nil {
		if params.IsCodeNotFound(err) {
			return nil
		}
		return err
	}
	return out.OneError()
}
