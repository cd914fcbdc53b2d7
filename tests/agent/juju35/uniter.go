package main

import (
	"io"

	"github.com/juju/clock"
	"github.com/juju/loggo"
	"github.com/juju/names/v5"
	"github.com/juju/worker/v3"

	"github.com/juju/juju/api/agent/secretsmanager"
	uniterapi "github.com/juju/juju/api/agent/uniter"
	coreleadership "github.com/juju/juju/core/leadership"
	"github.com/juju/juju/core/model"
	"github.com/juju/juju/downloader"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/juju/secrets"
	"github.com/juju/juju/worker/common/reboot"
	"github.com/juju/juju/worker/fortress"
	"github.com/juju/juju/worker/secretexpire"
	"github.com/juju/juju/worker/secretrotate"
	"github.com/juju/juju/worker/uniter"
	"github.com/juju/juju/worker/uniter/charm"
	"github.com/juju/juju/worker/uniter/operation"
)

// newUniter starts Juju's unit worker, put together as its manifold does it.
func (a *agent) newUniter(
	c *caller, tracker coreleadership.TrackerWorker, timer *updateStatusTimer, retry params.RetryStrategy,
) (worker.Worker, error) {
	resources, err := uniterapi.NewResourcesFacadeClient(c, a.unit)
	if err != nil {
		return nil, err
	}
	secretsAPI := secretsmanager.NewClient(c)
	log := loggo.GetLogger("juju.worker.uniter")
	return uniter.NewUniter(&uniter.UniterParams{
		UniterFacade:    uniterapi.NewState(c, a.unit),
		ResourcesFacade: resources,
		PayloadFacade:   uniterapi.NewPayloadFacadeClient(c),
		SecretsClient:   secretsAPI,
		SecretsBackendGetter: func() (secrets.BackendsClient, error) {
			return secrets.NewClient(secretsAPI)
		},
		UnitTag:               a.unit,
		ModelType:             model.IAAS,
		LeadershipTrackerFunc: func(names.UnitTag) coreleadership.TrackerWorker { return tracker },
		SecretRotateWatcherFunc: func(u names.UnitTag, leader bool, ch chan []string) (worker.Worker, error) {
			return secretrotate.New(secretrotate.Config{
				SecretManagerFacade: secretsAPI, Clock: clock.WallClock,
				Logger: log.Child("secretsrotate"), SecretOwners: owners(u, leader), RotateSecrets: ch,
			})
		},
		SecretExpiryWatcherFunc: func(u names.UnitTag, leader bool, ch chan []string) (worker.Worker, error) {
			return secretexpire.New(secretexpire.Config{
				SecretManagerFacade: secretsAPI, Clock: clock.WallClock,
				Logger: log.Child("secretrevisionsexpire"), SecretOwners: owners(u, leader), ExpireRevisions: ch,
			})
		},
		DataDir: a.dataDir,
		Downloader: &downloader.Downloader{OpenBlob: func(req downloader.Request) (io.ReadCloser, error) {
			return c.session.Charm(req.URL.String())
		}},
		MachineLock:          a.lock,
		CharmDirGuard:        openGuard{},
		UpdateStatusSignal:   timer.signal,
		HookRetryStrategy:    retry,
		NewOperationExecutor: operation.NewExecutor,
		NewDeployer:          charm.NewDeployer,
		NewProcessRunner:     observing(a.reporter),
		TranslateResolverErr: uniter.TranslateFortressErrors,
		Clock:                clock.WallClock,
		RebootQuerier:        reboot.NewMonitor(a.transientDir),
		Logger:               log,
	})
}

// owners are the entities whose secrets a unit looks after.
func owners(u names.UnitTag, leader bool) []names.Tag {
	tags := []names.Tag{u}
	if leader {
		if app, err := names.UnitApplication(u.Id()); err == nil {
			tags = append(tags, names.NewApplicationTag(app))
		}
	}
	return tags
}

// openGuard stands for the fortress around the charm directory; nobody else
// visits it here.
type openGuard struct{}

func (openGuard) Unlock() error                 { return nil }
func (openGuard) Lockdown(fortress.Abort) error { return nil }
