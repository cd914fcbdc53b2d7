// Package lease is github.com/juju/juju/internal/worker/lease, at its place in Juju 3.5.
package lease

import "github.com/juju/juju/internal/worker/lease"

type (
	Manager       = lease.Manager
	ManagerConfig = lease.ManagerConfig
)

var (
	NewManager      = lease.NewManager
	SecretaryFinder = lease.SecretaryFinder
)
