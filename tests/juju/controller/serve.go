package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/juju/clock"
	jujuerrors "github.com/juju/errors"
	"github.com/juju/loggo"
	"github.com/juju/names/v5"
	"github.com/juju/pubsub/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/juju/juju/apiserver"
	"github.com/juju/juju/apiserver/apiserverhttp"
	"github.com/juju/juju/apiserver/observer"
	"github.com/juju/juju/apiserver/stateauthenticator"
	"github.com/juju/juju/core/auditlog"
	"github.com/juju/juju/core/cache"
	"github.com/juju/juju/core/database"
	corelogger "github.com/juju/juju/core/logger"
	"github.com/juju/juju/core/presence"
	"github.com/juju/juju/pubsub/centralhub"
	"github.com/juju/juju/state"
	"github.com/juju/juju/worker/gate"
	workerlease "github.com/juju/juju/worker/lease"
	"github.com/juju/juju/worker/modelcache"
	"github.com/juju/juju/worker/multiwatcher"
	workerpresence "github.com/juju/juju/worker/presence"
)

// serve starts what answers the API, in the order of
// github.com/juju/juju/provider/dummy/environs.go, and listens.
func (c *Controller) serve(ctx context.Context) error {
	tag := names.NewMachineTag("0")
	hub := centralhub.New(tag, centralhub.PubsubNoOpMetrics{})
	leases, err := c.startLeaseManager()
	if err != nil {
		return err
	}
	watchers, err := c.startMultiwatcher()
	if err != nil {
		return err
	}
	c.watchers = watchers
	c.follow()
	models, err := c.startModelCache(ctx, watchers, hub)
	if err != nil {
		return err
	}
	// Disabled, as it begins, it forgets every connection, and all agents are "lost".
	c.presence = presence.New(clock.WallClock)
	c.presence.Enable()
	present, err := workerpresence.NewWorker(workerpresence.WorkerConfig{
		Origin: tag.String(), Hub: hub, Recorder: c.presence, Logger: loggo.GetLogger("juju.worker.presence"),
	})
	if err != nil {
		return fmt.Errorf("cannot record presence: %w", err)
	}
	c.own("presence recorder", present)

	mux := apiserverhttp.NewMux()
	authenticator, err := c.startAuthenticator(mux)
	if err != nil {
		return err
	}
	config := apiserver.ServerConfig{
		StatePool:                  c.pool,
		Controller:                 models,
		MultiwatcherFactory:        watchers,
		LocalMacaroonAuthenticator: authenticator,
		LeaseManager:               leases,
		Presence:                   c.presence,
		Hub:                        hub,
		Mux:                        mux,
		Clock:                      clock.WallClock,
		Tag:                        tag,
		DataDir:                    c.config.Directory,
		LogDir:                     c.path("log"),
		GetAuditConfig:             func() auditlog.Config { return auditlog.Config{} },
		UpgradeComplete:            func() bool { return true },
		MetricsCollector:           apiserver.NewMetricsCollector(),
		SysLogger:                  noSyslog{},
		DBGetter:                   noSQL{},
		CharmhubHTTPClient:         http.DefaultClient,
		NewObserver: observer.ObserverFactoryMultiplexer(func() observer.Observer {
			return observer.NewRequestObserver(observer.RequestObserverContext{
				Clock: clock.WallClock, Hub: hub, Logger: loggo.GetLogger("juju.apiserver"),
			})
		}, c.activity.newObserver),
	}
	completeServer(&config)
	server, err := apiserver.NewServer(config)
	if err != nil {
		return fmt.Errorf("cannot start the API server: %w", err)
	}
	c.own("API server", server)
	c.listen(c.config.Listener, mux)
	if c.config.Socket == "" {
		return nil
	}
	if c.door, err = newDoor(c.config.Socket); err != nil {
		return err
	}
	c.listen(c.door, mux)
	return nil
}

// listen serves the API over TLS.
func (c *Controller) listen(plain net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	listener := tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{*c.identity.tls}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.config.Report(fmt.Errorf("Juju's controller listens no more: %w", err))
		}
	}()
	c.onClose(func() error {
		err := server.Close()
		<-ended
		return ignoreClosed(err)
	})
}

func (c *Controller) startLeaseManager() (*workerlease.Manager, error) {
	c.leases = newLeaseTable()
	manager, err := workerlease.NewManager(workerlease.ManagerConfig{
		Secretary:            workerlease.SecretaryFinder(c.controllerUUID),
		Store:                c.leases,
		Logger:               loggo.GetLogger("juju.worker.lease"),
		Clock:                clock.WallClock,
		MaxSleep:             time.Minute,
		EntityUUID:           c.controllerUUID,
		LogDir:               c.path("log"),
		PrometheusRegisterer: noMetrics{},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot manage leases: %w", err)
	}
	c.own("lease manager", manager)
	return manager, nil
}

func (c *Controller) startMultiwatcher() (*multiwatcher.Worker, error) {
	backing, err := state.NewAllWatcherBacking(c.pool)
	if err != nil {
		return nil, fmt.Errorf("cannot watch all models: %w", err)
	}
	watchers, err := multiwatcher.NewWorker(multiwatcher.Config{
		Clock: clock.WallClock, Logger: loggo.GetLogger("juju.worker.multiwatcher"),
		Backing: backing, PrometheusRegisterer: noMetrics{},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot watch all models: %w", err)
	}
	c.own("multiwatcher", watchers)
	return watchers, nil
}

// startModelCache returns when the cache is filled.
func (c *Controller) startModelCache(ctx context.Context, watchers *multiwatcher.Worker, hub *pubsub.StructuredHub) (*cache.Controller, error) {
	filled := gate.NewLock()
	filler, err := modelcache.NewWorker(modelcache.Config{
		StatePool: c.pool, Hub: hub, InitializedGate: filled,
		Logger:         loggo.GetLogger("juju.worker.modelcache"),
		WatcherFactory: watchers.WatchController, PrometheusRegisterer: noMetrics{}, Cleanup: func() {},
	}.WithDefaultRestartStrategy())
	if err != nil {
		return nil, fmt.Errorf("cannot fill the model cache: %w", err)
	}
	c.own("model cache", filler)
	select {
	case <-filled.Unlocked():
	case <-ctx.Done():
		return nil, fmt.Errorf("the model cache is not filled: %w", context.Cause(ctx))
	}
	var models *cache.Controller
	return models, modelcache.ExtractCacheController(filler, &models)
}

// startAuthenticator checks the logins of users and agents.
func (c *Controller) startAuthenticator(mux *apiserverhttp.Mux) (*stateauthenticator.Authenticator, error) {
	authenticator, err := stateauthenticator.NewAuthenticator(c.pool, clock.WallClock)
	if err != nil {
		return nil, fmt.Errorf("cannot authenticate: %w", err)
	}
	if err := authenticator.AddHandlers(mux); err != nil {
		return nil, fmt.Errorf("cannot authenticate: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		authenticator.Maintain(c.ending)
	}()
	c.onClose(func() error { <-ended; return nil })
	return authenticator, nil
}

// noMetrics registers nothing: many controllers may be in one process.
type noMetrics struct{ prometheus.Registerer }

func (noMetrics) Register(prometheus.Collector) error  { return nil }
func (noMetrics) MustRegister(...prometheus.Collector) {}
func (noMetrics) Unregister(prometheus.Collector) bool { return false }

// noSyslog keeps logs from the machine's own.
type noSyslog struct{}

func (noSyslog) Log([]corelogger.LogRecord) error { return nil }

// noSQL has none of the databases of Juju's that need C; leases were the last thing in them
// that is needed here.
type noSQL struct{}

func (noSQL) GetDB(name string) (database.TrackedDB, error) {
	return nil, jujuerrors.NotSupportedf("database %q", name)
}
