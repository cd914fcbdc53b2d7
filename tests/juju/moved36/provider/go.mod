module github.com/juju/juju/provider

go 1.25.0

require github.com/juju/juju v0.0.0-20251015133347-17876b918429
