// Package machiner is github.com/juju/juju/internal/worker/machiner, at its place in Juju 3.5.
package machiner

import "github.com/juju/juju/internal/worker/machiner"

type ManifoldConfig = machiner.ManifoldConfig

var Manifold = machiner.Manifold
