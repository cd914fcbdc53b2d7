// Unit-agent runs the unit agent of Juju 3.5.4 for one unit, against the stand-in
// controller of tests/controller.
//
// The unit worker and all it uses (resolver, charm deployer, hook runner, hook
// tool server, juju-exec listener, leadership tracker, machine lock) are Juju's
// packages, unchanged. This program gives them an API connection that speaks JSON
// over a unix socket, reports hooks to the controller, and lets the controller
// set off the update-status timer.
//
// Juju is AGPL-3.0, so this is a module of its own that the charm never imports.
// Another Juju version gets a sibling directory with its own go.mod; what agents
// of all versions share is in tests/controller/wire.
//
// Juju's own controller of the same version is in package controller, its client in package
// client.
//
// Build (first time a few minutes on two cores, then seconds):
//
//	cd tests/agent/juju35
//	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o unit-agent .
//	cd ../..
//	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o jujuc ./cmd/hooktool
//
// Run, inside a machine, with the controller's socket mounted there:
//
//	unit-agent --unit keepalived/0 --controller /run/juju-lab/controller.sock --hook-tool /usr/lib/juju-lab/jujuc
//
// Called as juju-exec (a link /usr/bin/juju-exec to it) it is Juju's juju-exec.
//
// It exits 0 once the unit is dead and removed, or when the controller does not
// know the unit; it does not exit when the controller is away, but stops the unit
// worker and starts it again when the controller is back, as Juju does.
package main
