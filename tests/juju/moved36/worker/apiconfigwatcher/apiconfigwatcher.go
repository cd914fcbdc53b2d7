// Package apiconfigwatcher is github.com/juju/juju/internal/worker/apiconfigwatcher, at its place in Juju 3.5.
package apiconfigwatcher

import "github.com/juju/juju/internal/worker/apiconfigwatcher"

type ManifoldConfig = apiconfigwatcher.ManifoldConfig

var Manifold = apiconfigwatcher.Manifold
