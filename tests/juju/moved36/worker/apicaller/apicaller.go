// Package apicaller is github.com/juju/juju/internal/worker/apicaller, at its place in Juju 3.5.
package apicaller

import "github.com/juju/juju/internal/worker/apicaller"

type ManifoldConfig = apicaller.ManifoldConfig

var (
	ErrChangedPassword   = apicaller.ErrChangedPassword
	ErrConnectImpossible = apicaller.ErrConnectImpossible
	Manifold             = apicaller.Manifold
	ScaryConnect         = apicaller.ScaryConnect
)
