// Package fanconfigurer is github.com/juju/juju/internal/worker/fanconfigurer, at its place in Juju 3.5.
package fanconfigurer

import "github.com/juju/juju/internal/worker/fanconfigurer"

type ManifoldConfig = fanconfigurer.ManifoldConfig

var Manifold = fanconfigurer.Manifold
