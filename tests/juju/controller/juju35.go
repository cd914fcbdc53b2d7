//go:build !juju36

package controller

import (
	"github.com/juju/juju/apiserver"
	"github.com/juju/juju/state"
)

// What Juju 3.6 wants beside what 3.5 has.

func completeModels(*state.InitializeParams) error { return nil }

func completeMachine(*state.MachineTemplate) error { return nil }

func completeServer(*apiserver.ServerConfig) {}

func cleanUp(st *state.State) error { return st.Cleanup() }
