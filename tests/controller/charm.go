package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Role is the side of a relation that an endpoint takes.
type Role string

// The roles that charm metadata knows.
const (
	Provider Role = "provider"
	Requirer Role = "requirer"
	Peer     Role = "peer"
)

// Scope says which units of a relation see each other.
type Scope string

const (
	// Global relations connect every unit of both applications.
	Global Scope = "global"
	// Container relations connect the units that share a principal unit.
	Container Scope = "container"
)

// juju-info is the endpoint that every application provides without naming it.
const jujuInfo = "juju-info"

// Endpoint is one entry of a charm's provides, requires or peers section.
type Endpoint struct {
	Name      string
	Role      Role
	Interface string
	Scope     Scope // empty means Global
	Optional  bool
	Limit     int
}

// Option is one entry of a charm's config.yaml.
type Option struct {
	Type    string // string, int, float, boolean or secret
	Default any    // nil when the charm names none
}

// ActionParam is one parameter of an action; the agent checks its type.
type ActionParam struct {
	Type    string
	Default any // nil when the charm names none
}

// ActionSpec is one entry of a charm's actions.yaml.
type ActionSpec struct {
	Params map[string]ActionParam
}

// CharmMeta is what the model needs to know of a charm's metadata files.
type CharmMeta struct {
	Name          string
	Subordinate   bool
	Endpoints     []Endpoint
	ExtraBindings []string
	Options       map[string]Option
	Actions       map[string]ActionSpec
}

// endpoint returns the named endpoint; juju-info exists in every charm.
func (m CharmMeta) endpoint(name string) (Endpoint, bool) {
	for _, e := range m.Endpoints {
		if e.Name == name {
			if e.Scope == "" {
				e.Scope = Global
			}
			return e, true
		}
	}
	if name == jujuInfo {
		return Endpoint{Name: jujuInfo, Role: Provider, Interface: jujuInfo, Scope: Global}, true
	}
	return Endpoint{}, false
}

// Charm is a revision of a charm.
type Charm struct {
	Meta     CharmMeta
	Path     string // .charm archive on this host; empty makes the application model-only
	Revision int
}

// revision is a charm as the model keeps it.
type revision struct {
	Charm
	url    string
	sha256 string // hex, of the archive
}

func newRevision(ch Charm) (*revision, error) {
	r := &revision{Charm: ch, url: "local:" + ch.Meta.Name + "-" + strconv.Itoa(ch.Revision)}
	if ch.Path == "" {
		return r, nil
	}
	f, err := os.Open(ch.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot read charm archive: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("cannot read charm archive: %w", err)
	}
	r.sha256 = hex.EncodeToString(h.Sum(nil))
	return r, nil
}

// parseOption turns the text of a "juju config" argument into the option's type.
func parseOption(name string, o Option, text string) (any, error) {
	var v any
	var err error
	switch o.Type {
	case "int":
		v, err = strconv.ParseInt(text, 10, 64)
	case "float":
		v, err = strconv.ParseFloat(text, 64)
	case "boolean":
		v, err = strconv.ParseBool(text)
	default:
		return text, nil
	}
	if err != nil {
		return nil, fmt.Errorf("option %q expected %s, got %q", name, o.Type, text)
	}
	return v, nil
}
