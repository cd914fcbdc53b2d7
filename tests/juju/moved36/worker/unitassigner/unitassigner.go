// Package unitassigner is github.com/juju/juju/internal/worker/unitassigner, at its place in Juju 3.5.
package unitassigner

import "github.com/juju/juju/internal/worker/unitassigner"

var New = unitassigner.New
