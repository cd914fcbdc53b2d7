package main

import (
	"context"
	"errors"

	"github.com/juju/names/v5"
	"gopkg.in/httprequest.v1"

	"github.com/juju/juju/api"
	"github.com/juju/juju/api/base"
	"github.com/juju/juju/rpc"

	"keepalived-charm/tests/controller/wire"
)

// caller is Juju's API connection over a session with the stand-in controller.
// The embedded interface is nil: the unit worker calls none of the rest.
type caller struct {
	base.APICaller
	session *wire.Session
}

// APICall makes a call; errors are those that Juju's connection would return.
func (c *caller) APICall(facade string, version int, id, method string, args, response interface{}) error {
	err := c.session.Call(facade, version, id, method, args, response)
	var refused *wire.Error
	switch {
	case errors.Is(err, wire.ErrLost):
		return rpc.ErrShutdown
	case errors.As(err, &refused):
		return &rpc.RequestError{Message: refused.Message, Code: refused.Code}
	}
	return err
}

// BestFacadeVersion returns the newest version this Juju knows.
func (c *caller) BestFacadeVersion(facade string) int {
	best := 0
	for _, v := range api.SupportedFacadeVersions()[facade] {
		best = max(best, v)
	}
	return best
}

// ModelTag returns no tag: nothing in the unit worker asks for it.
func (c *caller) ModelTag() (names.ModelTag, bool) { return names.ModelTag{}, false }

// HTTPClient returns a client that reaches nothing; only resources would use it.
func (c *caller) HTTPClient() (*httprequest.Client, error) { return &httprequest.Client{}, nil }

// Context returns a context that ends with the session.
func (c *caller) Context() context.Context { return c.session.Context() }
