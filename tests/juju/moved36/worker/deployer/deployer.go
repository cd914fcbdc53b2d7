// Package deployer is github.com/juju/juju/internal/worker/deployer, at its place in Juju 3.5.
package deployer

import "github.com/juju/juju/internal/worker/deployer"

type (
	Context             = deployer.Context
	ContextConfig       = deployer.ContextConfig
	ManifoldConfig      = deployer.ManifoldConfig
	UnitManifoldsConfig = deployer.UnitManifoldsConfig
)

var (
	Manifold         = deployer.Manifold
	NewNestedContext = deployer.NewNestedContext
	UnitManifolds    = deployer.UnitManifolds
)
