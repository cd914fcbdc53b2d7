// Package worker and those below it have Juju's workers where Juju 3.5 has them. Since 3.6 they
// are internal, for modules below github.com/juju/juju, as this one is by its name.
package worker

import "github.com/juju/juju/internal/worker"

var ErrTerminateAgent = worker.ErrTerminateAgent
