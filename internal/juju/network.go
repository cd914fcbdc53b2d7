package juju

import "slices"

// Network is what Juju knows about an endpoint's network on this machine.
type Network struct {
	Bindings []struct {
		Interface string `json:"interface-name"`
		Addresses []struct {
			Value string `json:"value"`
		} `json:"addresses"`
	} `json:"bind-addresses"`
	Ingress []string `json:"ingress-addresses"`
}

// Addresses returns every address named, the ingress addresses first, without
// duplicates. A virtual IP may be among them while this machine holds it.
func (n Network) Addresses() []string {
	all := slices.Clone(n.Ingress)
	for _, b := range n.Bindings {
		for _, a := range b.Addresses {
			all = append(all, a.Value)
		}
	}
	var once []string
	for _, a := range all {
		if a != "" && !slices.Contains(once, a) {
			once = append(once, a)
		}
	}
	return once
}

// Interfaces returns the interfaces named, in Juju's order.
func (n Network) Interfaces() []string {
	var names []string
	for _, b := range n.Bindings {
		if b.Interface != "" && !slices.Contains(names, b.Interface) {
			names = append(names, b.Interface)
		}
	}
	return names
}
