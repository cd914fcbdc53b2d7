package controller

import (
	"fmt"

	"github.com/juju/errors"
	"github.com/juju/names/v5"
	"github.com/juju/utils/v3"

	"github.com/juju/juju/agent"
	"github.com/juju/juju/core/instance"
	"github.com/juju/juju/core/network"
	"github.com/juju/juju/core/status"
	"github.com/juju/juju/core/watcher"
	"github.com/juju/juju/state"
	jujuversion "github.com/juju/juju/version"
)

// Cloud is told which machines Juju wants, as its provisioner would tell a cloud
// (github.com/juju/juju/worker/provisioner/provisioner_task.go). Its functions return at once.
type Cloud struct {
	// Wanted is called for a machine that the model has and the cloud has not. Provide is the
	// answer.
	Wanted func(machine string)
	// Gone is called for a machine that has left the model.
	Gone func(machine string)
}

// provisioner tells the cloud of machines; wanted are those that it was told of.
type provisioner struct {
	st     *state.State
	cloud  Cloud
	wanted map[string]bool
}

func (c *Controller) runProvisioner() error {
	w, err := watcher.NewStringsWorker(watcher.StringsConfig{
		Handler: &provisioner{st: c.model.State, cloud: c.config.Cloud, wanted: map[string]bool{}},
	})
	if err != nil {
		return fmt.Errorf("cannot provide machines: %w", err)
	}
	c.own("provisioner", w)
	return nil
}

// SetUp is part of watcher.StringsHandler.
func (p *provisioner) SetUp() (watcher.StringsWatcher, error) {
	return stringsWatcher{p.st.WatchModelMachines()}, nil
}

// Handle is part of watcher.StringsHandler.
func (p *provisioner) Handle(_ <-chan struct{}, ids []string) error {
	for _, id := range ids {
		if err := p.handle(id); err != nil {
			return fmt.Errorf("cannot provide machine %s: %w", id, err)
		}
	}
	return nil
}

func (p *provisioner) handle(id string) error {
	machine, err := p.st.Machine(id)
	if errors.Is(err, errors.NotFound) {
		// Removed by force: Juju's cleanup was first.
		p.gone(id)
		return nil
	}
	if err != nil {
		return err
	}
	_, err = machine.InstanceId()
	pending := errors.Is(err, errors.NotProvisioned)
	switch {
	case err != nil && !pending:
		return err
	case machine.Life() == state.Alive && pending && !p.wanted[id]:
		p.wanted[id] = true
		p.cloud.Wanted(id)
	case machine.Life() == state.Dying && pending:
		if err := machine.EnsureDead(); err != nil {
			return err
		}
	}
	if machine.Life() != state.Dead {
		return nil
	}
	if err := machine.Remove(); err != nil && !errors.Is(err, errors.NotFound) {
		return err
	}
	p.gone(id)
	return nil
}

// gone tells the cloud, once.
func (p *provisioner) gone(id string) {
	if p.wanted[id] {
		delete(p.wanted, id)
		p.cloud.Gone(id)
	}
}

// TearDown is part of watcher.StringsHandler.
func (p *provisioner) TearDown() error { return nil }

// Provide says that the cloud has a machine, with the addresses that it gave it, and returns
// the configuration that the machine's agent starts with, which nobody else must read.
func (c *Controller) Provide(id string, addresses ...string) ([]byte, error) {
	config, err := c.provide(id, addresses)
	if err != nil {
		return nil, fmt.Errorf("cannot provide machine %s: %w", id, err)
	}
	return config, nil
}

func (c *Controller) provide(id string, addresses []string) ([]byte, error) {
	machine, err := c.model.Machine(id)
	if err != nil {
		return nil, err
	}
	uuid, err := utils.NewUUID()
	if err != nil {
		return nil, err
	}
	hardware := instance.MustParseHardware("arch=amd64", "cores=2", "mem=2048M")
	nonce := fmt.Sprintf("%s:%s", controllerTag, uuid)
	if err := machine.SetProvisioned(instance.Id("lab-"+id), "", nonce, &hardware); err != nil {
		return nil, err
	}
	var given network.SpaceAddresses
	for _, a := range addresses {
		given = append(given, network.NewSpaceAddress(a, network.WithScope(network.ScopeCloudLocal)))
	}
	if err := machine.SetProviderAddresses(given...); err != nil {
		return nil, err
	}
	if err := machine.SetInstanceStatus(status.StatusInfo{Status: status.Running, Message: "Running"}); err != nil {
		return nil, err
	}
	password, err := utils.RandomPassword()
	if err != nil {
		return nil, err
	}
	if err := machine.SetPassword(password); err != nil {
		return nil, err
	}
	config, err := agent.NewAgentConfig(agent.AgentConfigParams{
		Paths:             agent.DefaultPaths,
		Tag:               names.NewMachineTag(id),
		Controller:        names.NewControllerTag(c.controllerUUID),
		Model:             names.NewModelTag(c.modelUUID),
		UpgradedToVersion: jujuversion.Current,
		Password:          password,
		Nonce:             nonce,
		APIAddresses:      []string{c.Address()},
		CACert:            c.identity.authority,
	})
	if err != nil {
		return nil, err
	}
	return config.Render()
}
