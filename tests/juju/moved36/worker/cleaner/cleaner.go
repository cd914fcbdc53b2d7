// Package cleaner is github.com/juju/juju/internal/worker/cleaner, at its place in Juju 3.5.
package cleaner

import "github.com/juju/juju/internal/worker/cleaner"

var NewCleaner = cleaner.NewCleaner
