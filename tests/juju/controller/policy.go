package controller

import (
	"github.com/juju/errors"

	"github.com/juju/juju/core/constraints"
	"github.com/juju/juju/environs"
	"github.com/juju/juju/environs/context"
	"github.com/juju/juju/state"
	"github.com/juju/juju/state/stateenvirons"
)

// offlinePolicy is Juju's policy but for two questions, for which the cloud "manual" logs in
// to its controller by ssh unless the program is called jujud
// (github.com/juju/juju/provider/manual/environ.go, isRunningController).
type offlinePolicy struct{ state.Policy }

func newPolicy(st *state.State) state.Policy {
	return offlinePolicy{stateenvirons.GetNewPolicyFunc()(st)}
}

// ConstraintsValidator accepts every constraint that Juju knows.
func (offlinePolicy) ConstraintsValidator(context.ProviderCallContext) (constraints.Validator, error) {
	return constraints.NewValidator(), nil
}

// Prechecker says that there is none, which state understands.
func (offlinePolicy) Prechecker() (environs.InstancePrechecker, error) {
	return nil, errors.NotImplementedf("a check of placements without a cloud")
}
