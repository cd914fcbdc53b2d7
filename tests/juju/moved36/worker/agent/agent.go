// Package agent is github.com/juju/juju/internal/worker/agent, at its place in Juju 3.5.
package agent

import "github.com/juju/juju/internal/worker/agent"

var Manifold = agent.Manifold
