// Package multiwatcher is github.com/juju/juju/internal/worker/multiwatcher, at its place in Juju 3.5.
package multiwatcher

import "github.com/juju/juju/internal/worker/multiwatcher"

type (
	Config = multiwatcher.Config
	Worker = multiwatcher.Worker
)

var NewWorker = multiwatcher.NewWorker
