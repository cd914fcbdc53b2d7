// Package modelcache is github.com/juju/juju/internal/worker/modelcache, at its place in Juju 3.5.
package modelcache

import "github.com/juju/juju/internal/worker/modelcache"

type Config = modelcache.Config

var (
	ExtractCacheController = modelcache.ExtractCacheController
	NewWorker              = modelcache.NewWorker
)
