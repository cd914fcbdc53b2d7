package controller

import (
	"fmt"
	"time"

	"github.com/juju/clock"
	"github.com/juju/mgo/v3"
	"github.com/juju/names/v5"

	"github.com/juju/juju/cloud"
	jujucontroller "github.com/juju/juju/controller"
	"github.com/juju/juju/core/network"
	"github.com/juju/juju/environs/config"
	_ "github.com/juju/juju/provider/manual" // registers the cloud
	"github.com/juju/juju/state"
	"github.com/juju/juju/storage"
	"github.com/juju/juju/storage/provider"
	jujuversion "github.com/juju/juju/version"
)

const (
	// controllerName is the controller's name, and that of its cloud.
	controllerName = "lab"
	controllerTag  = "machine-0"
)

var admin = names.NewUserTag("admin")

// initialize fills the database as juju bootstrap does in a cloud of the kind "manual", and
// makes the model.
func (c *Controller) initialize(session *mgo.Session) error {
	settings, err := jujucontroller.NewConfig(c.controllerUUID, c.identity.authority, map[string]any{
		jujucontroller.APIPort:         c.address().Port,
		jujucontroller.ControllerName:  controllerName,
		jujucontroller.AuditingEnabled: false,
		// Ten agents that log in at once need not wait for each other.
		jujucontroller.AgentRateLimitMax: 0,
	})
	if err != nil {
		return err
	}
	system, err := c.modelArgs("controller", c.systemUUID)
	if err != nil {
		return err
	}
	params := state.InitializeParams{
		Clock:               clock.WallClock,
		ControllerConfig:    settings,
		ControllerModelArgs: system,
		Cloud: cloud.Cloud{
			Name: controllerName, Type: "manual", Endpoint: c.address().IP.String(),
			AuthTypes: cloud.AuthTypes{cloud.EmptyAuthType},
		},
		MongoSession:        session,
		NewPolicy:           newPolicy,
		AdminPassword:       c.password,
		WatcherPollInterval: time.Second,
	}
	if err := completeModels(&params); err != nil {
		return err
	}
	initialized, err := state.Initialize(params)
	if err != nil {
		return err
	}
	c.onClose(initialized.Close)
	c.pool = initialized.StatePool()
	if err := c.describe(); err != nil {
		return fmt.Errorf("cannot describe the controller's machine: %w", err)
	}
	args, err := c.modelArgs(c.config.Model, c.modelUUID)
	if err != nil {
		return err
	}
	_, created, err := initialized.NewModel(args)
	if err != nil {
		return fmt.Errorf("cannot make model %s: %w", c.config.Model, err)
	}
	if err := created.Close(); err != nil {
		return err
	}
	if c.model, err = c.pool.Get(c.modelUUID); err != nil {
		return err
	}
	c.onClose(func() error { c.model.Release(); return nil })
	return nil
}

func (c *Controller) modelArgs(name, uuid string) (state.ModelArgs, error) {
	settings, err := config.New(config.UseDefaults, map[string]any{
		config.NameKey:                 name,
		config.UUIDKey:                 uuid,
		config.TypeKey:                 "manual",
		config.AgentVersionKey:         jujuversion.Current.String(),
		config.AuthorizedKeysKey:       "",
		"firewall-mode":                config.FwNone, // there is no firewaller
		config.AutomaticallyRetryHooks: true,
		// As rarely as Juju can: what a scenario is about must not come of it by chance.
		config.UpdateStatusHookInterval: "60m",
	})
	if err != nil {
		return state.ModelArgs{}, fmt.Errorf("cannot configure model %s: %w", name, err)
	}
	return state.ModelArgs{
		Type:                    state.ModelTypeIAAS,
		Owner:                   admin,
		Config:                  settings,
		CloudName:               controllerName,
		StorageProviderRegistry: storage.ChainedProviderRegistry{provider.CommonStorageProviders()},
	}, nil
}

// describe tells the database of the machine that the controller is on, as jujud
// bootstrap-state does (github.com/juju/juju/agent/agentbootstrap/bootstrap.go).
func (c *Controller) describe() error {
	system, err := c.pool.SystemState()
	if err != nil {
		return err
	}
	ip := c.address().IP.String()
	// Clients drop addresses that are local to a machine, such as 127.0.0.1 without a scope.
	public := network.NewSpaceAddress(ip, network.WithScope(network.ScopePublic))
	if err := system.SetAPIHostPorts([]network.SpaceHostPorts{
		network.SpaceAddressesWithPort(network.SpaceAddresses{public}, c.address().Port),
	}); err != nil {
		return err
	}
	if err := system.SetStateServingInfo(jujucontroller.StateServingInfo{
		APIPort: c.address().Port, StatePort: 37017, SharedSecret: c.password,
		Cert: c.identity.certificate, PrivateKey: c.identity.key, CAPrivateKey: c.identity.authorityKey,
	}); err != nil {
		return err
	}
	template := state.MachineTemplate{
		Base: state.UbuntuBase("22.04"), Nonce: "user-admin:bootstrap", InstanceId: "manual:",
		Jobs: []state.MachineJob{state.JobManageModel, state.JobHostUnits},
	}
	if err := completeMachine(&template); err != nil {
		return err
	}
	machine, err := system.AddOneMachine(template)
	if err != nil {
		return err
	}
	return machine.SetProviderAddresses(network.NewSpaceAddress(ip))
}
