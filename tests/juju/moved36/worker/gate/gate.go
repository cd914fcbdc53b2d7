// Package gate is github.com/juju/juju/internal/worker/gate, at its place in Juju 3.5.
package gate

import "github.com/juju/juju/internal/worker/gate"

var NewLock = gate.NewLock
