package controller

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

type life string

const (
	alive life = "alive"
	dying life = "dying"
	dead  life = "dead"
)

type application struct {
	name          string
	charm         *revision
	charmModified int // grows with every refresh
	forceCharm    bool
	config        map[string]any
	bindings      map[string]string // endpoint to space; "" is the default
	life          life
	version       int
	nextUnit      int
	lease         lease
	leaderVersion int
	leaderData    map[string]string
	status        Status
}

func (a *application) modelOnly() bool { return a.charm.Path == "" }

// ApplicationSpec describes an application to deploy.
type ApplicationSpec struct {
	Name     string // empty: the charm's name
	Charm    Charm
	Config   map[string]string // options as given to "juju deploy --config"
	Bindings map[string]string // endpoint to space; the key "" is the default binding
}

// AddApplication adds an application without units; its peer relations come into
// being with it.
func (c *Controller) AddApplication(spec ApplicationSpec) error {
	rev, err := newRevision(spec.Charm)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := cmp.Or(spec.Name, spec.Charm.Meta.Name)
	if _, ok := c.apps[name]; ok {
		return fmt.Errorf("application %q already exists", name)
	}
	a := &application{
		name: name, charm: rev, life: alive, config: map[string]any{},
		bindings: maps.Clone(spec.Bindings), leaderData: map[string]string{},
	}
	if err := a.set(spec.Config); err != nil {
		return err
	}
	c.apps[name] = a
	c.addPeersLocked(a)
	c.changedLocked()
	return nil
}

// set applies options given as text; none is applied if one is wrong.
func (a *application) set(options map[string]string) error {
	parsed := map[string]any{}
	for _, name := range sortedKeys(options) {
		o, ok := a.charm.Meta.Options[name]
		if !ok {
			return fmt.Errorf("unknown option %q", name)
		}
		v, err := parseOption(name, o, options[name])
		if err != nil {
			return err
		}
		parsed[name] = v
	}
	maps.Copy(a.config, parsed)
	return nil
}

// SetConfig sets options of an application, each given as text as on the command
// line of "juju config".
func (c *Controller) SetConfig(app string, options map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[app]
	if !ok {
		return notFound("application", app)
	}
	if err := a.set(options); err != nil {
		return fmt.Errorf("cannot set config of %s: %w", app, err)
	}
	c.changedLocked()
	return nil
}

// ResetConfig gives options of an application their defaults again.
func (c *Controller) ResetConfig(app string, options ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[app]
	if !ok {
		return notFound("application", app)
	}
	for _, name := range options {
		if _, ok := a.charm.Meta.Options[name]; !ok {
			return fmt.Errorf("cannot reset config of %s: unknown option %q", app, name)
		}
		delete(a.config, name)
	}
	c.changedLocked()
	return nil
}

// Config returns every option of an application with its value, nil where the
// option has neither a value nor a default.
func (c *Controller) Config(app string) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[app]
	if !ok {
		return nil, notFound("application", app)
	}
	return a.settings(a.charm), nil
}

// settings returns all options of the given revision with their values.
func (a *application) settings(rev *revision) map[string]any {
	all := map[string]any{}
	for name, o := range rev.Meta.Options {
		all[name] = o.Default
		if v, ok := a.config[name]; ok {
			all[name] = v
		}
	}
	return all
}

// Refresh moves an application to another revision of its charm. Units in hook
// error do not follow until they are resolved, unless force is set.
func (c *Controller) Refresh(app string, ch Charm, force bool) error {
	rev, err := newRevision(ch)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[app]
	if !ok {
		return notFound("application", app)
	}
	if err := c.refusal(a, rev); err != nil {
		return fmt.Errorf("cannot refresh %s: %w", app, err)
	}
	if rev.url == a.charm.url {
		return fmt.Errorf("cannot refresh %s: it already runs revision %d", app, ch.Revision)
	}
	a.charm, a.forceCharm = rev, force
	a.charmModified++
	a.version++
	for name, v := range a.config {
		o, ok := rev.Meta.Options[name]
		if ok {
			_, err = parseOption(name, o, fmt.Sprint(v))
		}
		if !ok || err != nil { // Juju drops values that no longer fit
			delete(a.config, name)
		}
	}
	c.dropPeersLocked(a)
	c.addPeersLocked(a)
	c.changedLocked()
	return nil
}

// hold is the charm that a unit's agent is told of, whatever its application runs.
type hold struct {
	charm    *revision
	modified int
}

// HoldCharm has a unit's agent hear of no refresh, or of the last one after all, while it
// hears of everything else: agents hear of each in any order, and so of their peers'
// words before of the refresh that those have followed.
func (c *Controller) HoldCharm(unit string, on bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[unit]
	if !ok || u.charm == nil {
		return fmt.Errorf("cannot hold the charm of unit %q: it has none", unit)
	}
	a := c.apps[u.app]
	u.held = nil
	if on {
		u.held = &hold{u.charm, a.charmModified}
	}
	a.version++
	c.changedLocked()
	return nil
}

// refusal says why Juju would refuse to refresh to rev.
func (c *Controller) refusal(a *application, rev *revision) error {
	if rev.Meta.Name != a.charm.Meta.Name {
		return fmt.Errorf("charm is named %q, not %q", rev.Meta.Name, a.charm.Meta.Name)
	}
	if rev.Meta.Subordinate != a.charm.Meta.Subordinate {
		return fmt.Errorf("cannot change an application's subordinacy")
	}
	if (rev.Path == "") != a.modelOnly() {
		return fmt.Errorf("a model-only application stays one")
	}
	for _, r := range c.relations {
		old, ok := r.endpointOf(a.name)
		if !ok || old.Role == Peer {
			continue
		}
		e, ok := rev.Meta.endpoint(old.Name)
		if !ok || e.Role != old.Role || e.Interface != old.Interface ||
			e.Scope == Container && r.scope == Global {
			return fmt.Errorf("would break relation %q", r.key)
		}
	}
	return nil
}

// hash returns a short fingerprint of anything that encodes to JSON.
func hash(v ...any) string {
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(fmt.Sprint(v...))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// findEndpoint resolves "application" or "application:endpoint".
func (c *Controller) findEndpoint(ref string) (*application, string, error) {
	name, endpoint, _ := strings.Cut(ref, ":")
	a, ok := c.apps[name]
	if !ok {
		return nil, "", notFound("application", name)
	}
	if endpoint != "" {
		if _, ok := a.charm.Meta.endpoint(endpoint); !ok {
			return nil, "", fmt.Errorf("application %q has no %q relation", name, endpoint)
		}
	}
	return a, endpoint, nil
}
