// Package manual registers the cloud of that name, as the package at this place in Juju 3.5 does.
package manual

import _ "github.com/juju/juju/internal/provider/manual"
