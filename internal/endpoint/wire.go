//go:build !neighbour

package endpoint

import "keepalived-charm/internal/juju"

// spoken and understood stand between a member and its databag. They do something in the
// revision that tests take for the next one: build tag neighbour.
func spoken(bag juju.Databag) juju.Databag { return bag }

func understood(bag juju.Databag) juju.Databag { return bag }
