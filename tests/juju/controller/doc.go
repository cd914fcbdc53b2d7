// Package controller is Juju's own controller in one process, over a database in memory, so
// that what an operator types can be tried without a cloud: Juju's own client commands
// (cmd/juju) and Juju's own agents log in to it over TLS.
//
// What is Juju's: everything that decides or answers. State with its transactions and
// checks, the API server with all of its facades, its authentication, its certificates, the
// lease manager, the multiwatcher, the model cache, the presence recorder, the cloud
// "manual", and the workers that assign units to machines and clean up. What is ours: the
// database (keepalived-charm/tests/docdb), the table that leases are kept in (leases.go,
// Juju's is in dqlite, which needs C), the answers where the cloud would log in to machines by
// ssh (policy.go), and the order in which it all starts and ends, for which
// github.com/juju/juju/provider/dummy (environs.go, Bootstrap and destroyLocked) and
// cmd/jujud/agent/machine.go are the model. Machines are added as juju add-machine ssh:
// leaves them, by AddMachine. There are no workers for what a model of such machines does not
// need: provisioner, firewaller, storage, secrets, pruners, charm store, removal of models.
//
// It is compiled with two stand-ins for libraries that are never called, see go.mod: SQLite's
// driver, which needs C, and Microsoft's client library, which takes longer to compile than
// Juju.
//
// It is Juju 3.5.4 by go.mod, and 3.6.11 by go36.mod with the build tag juju36:
//
//	go build -modfile=go36.mod -tags=juju36 ./...
//
// The sources are the same, but for what 3.6 wants beside what 3.5 has (juju35.go, juju36.go).
// They import by the paths of 3.5; what has moved since is led there by moved36.
//
// Juju is AGPL-3.0, so this is a module of its own, which the charm never imports.
package controller
