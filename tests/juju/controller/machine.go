package controller

import (
	"fmt"
	"time"

	"github.com/juju/names/v5"
	"github.com/juju/utils/v3"

	"github.com/juju/juju/core/instance"
	"github.com/juju/juju/core/network"
	"github.com/juju/juju/core/status"
	"github.com/juju/juju/environs/manual"
	"github.com/juju/juju/state"
)

// AddMachine adds a started machine with Ubuntu of a version, such as "22.04", and one
// address to the model, as juju add-machine ssh: leaves it
// (github.com/juju/juju/environs/manual/sshprovisioner), and returns its number. No machine
// agent needs to log in for it to count as connected.
func (c *Controller) AddMachine(version, address string) (string, error) {
	id, err := c.addMachine(version, address)
	if err != nil {
		return "", fmt.Errorf("cannot add machine %s: %w", address, err)
	}
	return id, nil
}

func (c *Controller) addMachine(version, address string) (string, error) {
	uuid, err := utils.NewUUID()
	if err != nil {
		return "", err
	}
	id := instance.Id(manual.ManualInstancePrefix + address)
	nonce := fmt.Sprintf("%s:%s", id, uuid)
	template := state.MachineTemplate{
		Base:                    state.UbuntuBase(version),
		InstanceId:              id,
		Nonce:                   nonce,
		HardwareCharacteristics: instance.MustParseHardware("arch=amd64", "cores=2", "mem=2048M"),
		Addresses:               network.SpaceAddresses{network.NewSpaceAddress(address, network.WithScope(network.ScopeCloudLocal))},
		Jobs:                    []state.MachineJob{state.JobHostUnits},
	}
	if err := completeMachine(&template); err != nil {
		return "", err
	}
	machine, err := c.model.AddOneMachine(template)
	if err != nil {
		return "", err
	}
	now := time.Now()
	if err := machine.SetStatus(status.StatusInfo{Status: status.Started, Since: &now}); err != nil {
		return "", err
	}
	if err := machine.SetInstanceStatus(status.StatusInfo{
		Status: status.Running, Message: "Manually provisioned machine", Since: &now,
	}); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nonces[machine.Id()] = nonce
	// The API server counts its connections from one; these must be others.
	c.presence.Connect(controllerTag, c.modelUUID, machine.Tag().String(), 1<<40+uint64(len(c.nonces)), false, "")
	return machine.Id(), nil
}

// Login is what an agent says to log in.
type Login struct {
	Addresses []string
	CACert    string
	ModelUUID string
	Tag       string
	Password  string
	Nonce     string `json:",omitempty"` // of a machine
}

// Login gives a unit or a machine a new password, as the machine's agent does for a new unit
// (github.com/juju/juju/worker/deployer/deployer.go), and returns what its agent needs.
func (c *Controller) Login(tag names.Tag) (Login, error) {
	password, err := utils.RandomPassword()
	if err != nil {
		return Login{}, fmt.Errorf("cannot make a password: %w", err)
	}
	if err := c.SetPassword(tag, password); err != nil {
		return Login{}, err
	}
	login := Login{
		Addresses: []string{c.Address()}, CACert: c.identity.authority,
		ModelUUID: c.modelUUID, Tag: tag.String(), Password: password,
	}
	if tag.Kind() == names.MachineTagKind {
		c.mu.Lock()
		defer c.mu.Unlock()
		login.Nonce = c.nonces[tag.Id()]
	}
	return login, nil
}

// SetPassword sets the password of a unit or a machine.
func (c *Controller) SetPassword(tag names.Tag, password string) error {
	entity, err := c.model.FindEntity(tag)
	if err != nil {
		return fmt.Errorf("cannot set a password: %w", err)
	}
	authenticated, ok := entity.(state.Authenticator)
	if !ok {
		return fmt.Errorf("cannot set a password: %s has none", names.ReadableString(tag))
	}
	if err := authenticated.SetPassword(password); err != nil {
		return fmt.Errorf("cannot set the password of %s: %w", names.ReadableString(tag), err)
	}
	return nil
}
