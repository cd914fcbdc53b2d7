// Package upgradeseries is github.com/juju/juju/internal/worker/upgradeseries, at its place in Juju 3.5.
package upgradeseries

import "github.com/juju/juju/internal/worker/upgradeseries"

type ManifoldConfig = upgradeseries.ManifoldConfig

var (
	Manifold  = upgradeseries.Manifold
	NewFacade = upgradeseries.NewFacade
	NewWorker = upgradeseries.NewWorker
)
