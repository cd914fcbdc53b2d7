package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/juju/names/v5"
	"github.com/juju/worker/v3"
	"github.com/juju/worker/v3/dependency"

	"github.com/juju/juju/api"
	"github.com/juju/juju/api/base"
	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/params"
)

// caller is a unit's connection to the controller, with what the lab does to one unit's
// calls: files in a directory, named after the unit's tag, say which.
//
// unit-keepalived-0.held is there: the unit does not learn that its application has gone to
// another charm, and runs hooks of the one that it has. It learns when its agent starts again
// without the file.
//
// unit-keepalived-0.refused has names of methods, a line each, such as
// Uniter.CommitHookChanges: each is refused once for each line, and that is removed.
type caller struct {
	api.Connection
	*calls
}

// calls is what callers of one unit share, over all its connections.
type calls struct {
	unit  names.Tag
	dir   string
	retry time.Duration // the longest between two attempts at a hook; 0 for Juju's own

	mu    sync.Mutex
	known map[string][]byte // what was answered first, in JSON
}

// wrap has the workers of a unit use such a connection.
func (c *calls) wrap(m dependency.Manifold) dependency.Manifold {
	output := m.Output
	m.Output = func(in worker.Worker, out any) error {
		var conn api.Connection
		if err := output(in, &conn); err != nil {
			return err
		}
		switch out := out.(type) {
		case *base.APICaller:
			*out = &caller{conn, c}
		case *api.Connection:
			*out = &caller{conn, c}
		default:
			return output(in, out)
		}
		return nil
	}
	return m
}

// APICall is part of base.APICaller.
func (c *caller) APICall(facade string, version int, id, method string, args, response any) error {
	name := facade + "." + method
	if err := c.refused(name); err != nil {
		return err
	}
	if err := c.Connection.APICall(facade, version, id, method, args, response); err != nil {
		return err
	}
	switch name {
	case "Uniter.CharmURL", "Uniter.CharmModifiedVersion":
		return c.held(name, args, response)
	case "RetryStrategy.RetryStrategy":
		if all, ok := response.(*params.RetryStrategyResults); ok && c.retry > 0 {
			for _, r := range all.Results {
				if r.Result != nil {
					r.Result.MinRetryTime = min(r.Result.MinRetryTime, c.retry)
					r.Result.MaxRetryTime = min(r.Result.MaxRetryTime, c.retry)
				}
			}
		}
	}
	return nil
}

func (c *calls) file(kind string) string { return filepath.Join(c.dir, c.unit.String()+"."+kind) }

// held has the first answer stand as long as the unit's file is there.
func (c *calls) held(name string, args, response any) error {
	question, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("cannot hold %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := name + string(question)
	if _, err := os.Stat(c.file("held")); err == nil && c.known[key] != nil {
		return json.Unmarshal(c.known[key], response)
	}
	c.known[key], err = json.Marshal(response)
	return err
}

// refused tells whether a call is to be, as the API says it of an error of its own.
func (c *calls) refused(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := os.ReadFile(c.file("refused"))
	if err != nil {
		return nil
	}
	lines := strings.Split(string(text), "\n")
	n := slices.Index(lines, name)
	if n < 0 {
		return nil
	}
	if err := os.WriteFile(c.file("refused"), []byte(strings.Join(slices.Delete(lines, n, n+1), "\n")), 0o644); err != nil {
		return err
	}
	return &rpc.RequestError{Message: "the lab refuses this call: " + name}
}
