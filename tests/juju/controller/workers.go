package controller

import (
	"fmt"

	"github.com/juju/clock"
	"github.com/juju/errors"
	"github.com/juju/loggo"
	"github.com/juju/names/v5"

	"github.com/juju/juju/core/status"
	"github.com/juju/juju/core/watcher"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/juju/state"
	"github.com/juju/juju/worker/cleaner"
	"github.com/juju/juju/worker/unitassigner"
)

// runModelWorkers starts those of Juju's workers for a model without which deploy and remove
// do half of their work. In jujud they ask over the API; here they ask state, as the facades
// UnitAssigner and Cleaner do.
func (c *Controller) runModelWorkers() error {
	assigner, err := unitassigner.New(stateAssigner{c.model.State}, loggo.GetLogger("juju.worker.unitassigner"))
	if err != nil {
		return fmt.Errorf("cannot assign units: %w", err)
	}
	c.own("unit assigner", assigner)
	cleaning, err := cleaner.NewCleaner(stateCleaner{c.model.State}, clock.WallClock, loggo.GetLogger("juju.worker.cleaner"))
	if err != nil {
		return fmt.Errorf("cannot clean up: %w", err)
	}
	c.own("cleaner", cleaning)
	return c.runProvisioner()
}

// stateCleaner is github.com/juju/juju/apiserver/facades/controller/cleaner.
type stateCleaner struct{ st *state.State }

func (s stateCleaner) Cleanup() error { return cleanUp(s.st) }

func (s stateCleaner) WatchCleanups() (watcher.NotifyWatcher, error) {
	return notifyWatcher{s.st.WatchCleanups()}, nil
}

// stateAssigner is github.com/juju/juju/apiserver/facades/agent/unitassigner.
type stateAssigner struct{ st *state.State }

func (s stateAssigner) WatchUnitAssignments() (watcher.StringsWatcher, error) {
	return stringsWatcher{s.st.WatchForUnitAssignment()}, nil
}

// AssignUnits answers in the order of the tags; state answers in an order of its own, and says
// nothing of units that are gone.
func (s stateAssigner) AssignUnits(tags []names.UnitTag) ([]error, error) {
	ids := make([]string, len(tags))
	results := make([]error, len(tags))
	index := map[string]int{}
	for i, tag := range tags {
		ids[i] = tag.Id()
		index[tag.Id()] = i
		results[i] = errors.NotFoundf("unit %q", tag.Id())
	}
	assigned, err := s.st.AssignStagedUnits(ids)
	for _, a := range assigned {
		results[index[a.Unit]] = a.Error
	}
	return results, err
}

func (s stateAssigner) SetAgentStatus(args params.SetStatus) error {
	for _, entity := range args.Entities {
		tag, err := names.ParseUnitTag(entity.Tag)
		if err != nil {
			return err
		}
		unit, err := s.st.Unit(tag.Id())
		if err != nil {
			return err
		}
		if err := unit.SetAgentStatus(status.StatusInfo{
			Status: status.Status(entity.Status), Message: entity.Info, Data: entity.Data,
		}); err != nil {
			return err
		}
	}
	return nil
}

// The watchers of state and of core/watcher differ in the names of their channels' types.
type (
	notifyWatcher  struct{ state.NotifyWatcher }
	stringsWatcher struct{ state.StringsWatcher }
)

func (w notifyWatcher) Changes() watcher.NotifyChannel { return w.NotifyWatcher.Changes() }

func (w stringsWatcher) Changes() watcher.StringsChannel { return w.StringsWatcher.Changes() }
