// Package controller is Juju 3.5.4's own controller in one process, over a database in
// memory, so that what an operator types can be tried without a cloud: Juju's own client
// commands (cmd/juju) and Juju's own agents log in to it over TLS.
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
// Juju is AGPL-3.0, so this is a module of its own, which the charm never imports. Another
// version of Juju would be a sibling directory with a go.mod of its own.
package controller
