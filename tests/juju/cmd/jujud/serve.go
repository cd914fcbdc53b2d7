package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/juju/clock"
	jujuerrors "github.com/juju/errors"
	"github.com/juju/loggo"
	"github.com/juju/pubsub/v2"
	"github.com/juju/utils/v3/voyeur"
	"github.com/juju/version/v2"
	"github.com/juju/worker/v3"
	"github.com/juju/worker/v3/dependency"

	coreagent "github.com/juju/juju/agent"
	agenttools "github.com/juju/juju/agent/tools"
	"github.com/juju/juju/api"
	"github.com/juju/juju/cmd/jujud/agent/agentconf"
	"github.com/juju/juju/cmd/jujud/agent/engine"
	"github.com/juju/juju/core/arch"
	coreos "github.com/juju/juju/core/os"
	"github.com/juju/juju/juju/names"
	coretools "github.com/juju/juju/tools"
	jujuversion "github.com/juju/juju/version"
	jujuworker "github.com/juju/juju/worker"
	"github.com/juju/juju/worker/agent"
	"github.com/juju/juju/worker/apiaddressupdater"
	"github.com/juju/juju/worker/apicaller"
	"github.com/juju/juju/worker/apiconfigwatcher"
	"github.com/juju/juju/worker/deployer"
	"github.com/juju/juju/worker/fanconfigurer"
	"github.com/juju/juju/worker/machiner"
	"github.com/juju/juju/worker/upgradeseries"
)

// machineAgent is the machine's configuration and what is told of its changes.
type machineAgent struct {
	agentconf.AgentConf
	changed *voyeur.Value
}

// ChangeConfig is part of coreagent.Agent.
func (a *machineAgent) ChangeConfig(change coreagent.ConfigMutator) error {
	err := a.AgentConf.ChangeConfig(change)
	a.changed.Set(true)
	return err
}

// serve runs the machine's workers until the machine is removed or ctx ends.
func serve(ctx context.Context, o options) error {
	if err := installTools(o); err != nil {
		return fmt.Errorf("cannot install the agent's tools: %w", err)
	}
	a := &machineAgent{agentconf.NewAgentConf(o.dataDir), voyeur.NewValue(true)}
	if err := a.ReadConfig(o.machine.String()); err != nil {
		return fmt.Errorf("cannot read the agent's configuration: %w", err)
	}
	if o.socket != "" {
		addresses, err := a.CurrentConfig().APIAddresses()
		if err != nil {
			return fmt.Errorf("cannot find the controller: %w", err)
		}
		stop, err := forward(addresses, o.socket)
		if err != nil {
			return err
		}
		defer stop()
	}
	workers, err := dependency.NewEngine(engineConfig())
	if err != nil {
		return fmt.Errorf("cannot start the machine's workers: %w", err)
	}
	if err := dependency.Install(workers, manifolds(a, o)); err != nil {
		return errors.Join(fmt.Errorf("cannot start the machine's workers: %w", err), worker.Stop(workers))
	}
	stopped := context.AfterFunc(ctx, workers.Kill)
	defer stopped()
	if err := workers.Wait(); err != nil && !jujuerrors.Is(err, jujuworker.ErrTerminateAgent) {
		return err
	}
	return nil
}

// longestDelay bounds how long after the controller's return the agents notice it, which
// with Juju is two minutes.
const longestDelay = 5 * time.Second

// engineConfig says how often workers that fail start again.
func engineConfig() dependency.EngineConfig {
	config := engine.DependencyEngineConfig(dependency.DefaultMetrics())
	config.MaxDelay = longestDelay
	return config
}

const (
	agentName             = "agent"
	apiConfigWatcherName  = "api-config-watcher"
	apiCallerName         = "api-caller"
	apiAddressUpdaterName = "api-address-updater"
	deployerName          = "deployer"
	fanConfigurerName     = "fan-configurer"
	machinerName          = "machiner"
	upgradeSeriesName     = "upgrade-series"
)

// manifolds are of those in github.com/juju/juju/cmd/jujud/agent/machine/manifolds.go, without
// the conditions that wait for upgrades and migrations.
func manifolds(a *machineAgent, o options) dependency.Manifolds {
	return dependency.Manifolds{
		agentName: agent.Manifold(coreagent.APIHostPortsSetter{Agent: a}),
		apiConfigWatcherName: apiconfigwatcher.Manifold(apiconfigwatcher.ManifoldConfig{
			AgentName: agentName, AgentConfigChanged: a.changed,
			Logger: loggo.GetLogger("juju.worker.apiconfigwatcher"),
		}),
		apiCallerName: apicaller.Manifold(apicaller.ManifoldConfig{
			AgentName: agentName, APIConfigWatcherName: apiConfigWatcherName,
			APIOpen: api.Open, NewConnection: apicaller.ScaryConnect, Filter: connectFilter,
			Logger: loggo.GetLogger("juju.worker.apicaller"),
		}),
		apiAddressUpdaterName: apiaddressupdater.Manifold(apiaddressupdater.ManifoldConfig{
			AgentName: agentName, APICallerName: apiCallerName,
			Logger: loggo.GetLogger("juju.worker.apiaddressupdater"),
		}),
		fanConfigurerName: fanconfigurer.Manifold(fanconfigurer.ManifoldConfig{
			APICallerName: apiCallerName, Clock: clock.WallClock,
		}),
		machinerName: machiner.Manifold(machiner.ManifoldConfig{
			AgentName: agentName, APICallerName: apiCallerName, FanConfigurerName: fanConfigurerName,
		}),
		upgradeSeriesName: upgradeseries.Manifold(upgradeseries.ManifoldConfig{
			AgentName: agentName, APICallerName: apiCallerName,
			NewFacade: upgradeseries.NewFacade, NewWorker: upgradeseries.NewWorker,
			Logger: loggo.GetLogger("juju.worker.upgradeseries"),
		}),
		deployerName: deployer.Manifold(deployer.ManifoldConfig{
			AgentName: agentName, APICallerName: apiCallerName, Clock: clock.WallClock,
			Hub:              pubsub.NewSimpleHub(&pubsub.SimpleHubConfig{Logger: loggo.GetLogger("juju.localhub")}),
			Logger:           loggo.GetLogger("juju.worker.deployer"),
			UnitEngineConfig: engineConfig,
			SetupLogging:     setupLogging,
			NewDeployContext: func(config deployer.ContextConfig) (deployer.Context, error) {
				config.UnitManifolds = func(unit deployer.UnitManifoldsConfig) dependency.Manifolds {
					unit.LeadershipGuarantee = o.guarantee
					workers := deployer.UnitManifolds(unit)
					c := &calls{unit: unit.Agent.CurrentConfig().Tag(), dir: o.calls, retry: o.retry, known: map[string][]byte{}}
					workers[apiCallerName] = c.wrap(workers[apiCallerName])
					return workers
				}
				return deployer.NewNestedContext(config)
			},
		}),
	}
}

// connectFilter is connectFilter of manifolds.go.
func connectFilter(err error) error {
	switch jujuerrors.Cause(err) {
	case apicaller.ErrConnectImpossible:
		return jujuworker.ErrTerminateAgent
	case apicaller.ErrChangedPassword:
		return dependency.ErrBounce
	}
	return err
}

// installTools does what is done for a machine before its agent starts, and what the agent
// does for juju-exec: what the units' agents take for Juju's tools is this program and the
// hook tool.
func installTools(o options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tools := &coretools.Tools{Version: version.Binary{
		Number: jujuversion.Current, Arch: arch.HostArch(), Release: coreos.HostOSTypeName(),
	}}
	dir := agenttools.SharedToolsDir(o.dataDir, tools.Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for link, program := range map[string]string{
		filepath.Join(dir, names.Jujud):           self,
		filepath.Join(dir, names.Jujuc):           o.hookTool,
		filepath.Join("/usr/bin", names.JujuExec): self,
	} {
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(program, link); err != nil {
			return err
		}
	}
	return agenttools.WriteToolsMetadataData(dir, tools)
}
