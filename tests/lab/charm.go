package lab

import (
	"fmt"

	"github.com/juju/charm/v12"

	"keepalived-charm/tests/controller"
)

// ReadCharm reads a packed charm as the controller would on juju deploy.
func ReadCharm(path string) (controller.Charm, error) {
	archive, err := charm.ReadCharmArchive(path)
	if err != nil {
		return controller.Charm{}, fmt.Errorf("cannot read charm %s (make charm packs it): %w", path, err)
	}
	meta := archive.Meta()
	c := controller.Charm{Path: path, Meta: controller.CharmMeta{
		Name:        meta.Name,
		Subordinate: meta.Subordinate,
		Options:     map[string]controller.Option{},
		Actions:     map[string]controller.ActionSpec{},
	}}
	for _, side := range []map[string]charm.Relation{meta.Provides, meta.Requires, meta.Peers} {
		for _, r := range side {
			c.Meta.Endpoints = append(c.Meta.Endpoints, controller.Endpoint{
				Name: r.Name, Role: controller.Role(r.Role), Interface: r.Interface,
				Scope: controller.Scope(r.Scope), Optional: r.Optional, Limit: r.Limit,
			})
		}
	}
	for name, o := range archive.Config().Options {
		c.Meta.Options[name] = controller.Option{Type: o.Type, Default: o.Default}
	}
	for name := range archive.Actions().ActionSpecs {
		c.Meta.Actions[name] = controller.ActionSpec{}
	}
	return c, nil
}

// endpoint is short for the tables below.
func endpoint(name string, role controller.Role, iface string) controller.Endpoint {
	return controller.Endpoint{Name: name, Role: role, Interface: iface}
}

// principals and consumers are the charms on the other side, by name: only their
// endpoints matter, no agent runs for them.
var others = map[string][]controller.Endpoint{
	"haproxy": {
		endpoint("website", controller.Provider, "http"),
		endpoint("reverseproxy", controller.Requirer, "http"),
	},
	"kubeapi-load-balancer": {
		endpoint("website", controller.Provider, "http"),
		endpoint("apiserver", controller.Requirer, "http"),
		endpoint("loadbalancer", controller.Provider, "public-address"),
	},
	"kubernetes-worker":        {endpoint("kube-api-endpoint", controller.Requirer, "http")},
	"kubernetes-control-plane": {endpoint("loadbalancer", controller.Requirer, "public-address")},
}

// otherCharm returns one of the charms that stand on the other side.
func otherCharm(name string) (controller.Charm, error) {
	endpoints, ok := others[name]
	if !ok {
		return controller.Charm{}, fmt.Errorf("cannot deploy %q: the lab knows keepalived, haproxy, kubeapi-load-balancer, "+
			"kubernetes-worker and kubernetes-control-plane", name)
	}
	return controller.Charm{Meta: controller.CharmMeta{Name: name, Endpoints: endpoints}}, nil
}
