// Package presence is github.com/juju/juju/internal/worker/presence, at its place in Juju 3.5.
package presence

import "github.com/juju/juju/internal/worker/presence"

type WorkerConfig = presence.WorkerConfig

var NewWorker = presence.NewWorker
