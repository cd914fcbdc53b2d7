// Package apiaddressupdater is github.com/juju/juju/internal/worker/apiaddressupdater, at its place in Juju 3.5.
package apiaddressupdater

import "github.com/juju/juju/internal/worker/apiaddressupdater"

type ManifoldConfig = apiaddressupdater.ManifoldConfig

var Manifold = apiaddressupdater.Manifold
