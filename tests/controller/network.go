package controller

import (
	"fmt"
	"net/netip"
	"slices"
)

// hostSubnet returns the egress subnet of a single address.
func hostSubnet(addr string) string {
	if a, err := netip.ParseAddr(addr); err == nil && a.Is6() {
		return addr + "/128"
	}
	return addr + "/32"
}

// bound says whether network-get may be asked for a name.
func (a *application) bound(name string) bool {
	if _, ok := a.charm.Meta.endpoint(name); ok {
		return true
	}
	return slices.Contains(a.charm.Meta.ExtraBindings, name)
}

func networkInfo(r *call) (any, error) {
	var in struct {
		Unit       string   `json:"unit"`
		Bindings   []string `json:"bindings"`
		Endpoints  []string `json:"endpoints"`
		RelationID *int     `json:"relation-id"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if in.Unit != unitTag(r.unit.name) {
		return nil, errPermission
	}
	out := map[string]any{}
	for _, name := range append(in.Bindings, in.Endpoints...) {
		if !r.c.apps[r.unit.app].bound(name) {
			msg := fmt.Sprintf("undefined for unit charm: endpoint %q not valid", name)
			out[name] = failure(&apiError{Message: msg, Code: codeNotValid})
			continue
		}
		out[name] = networkOf(r.c.addressesOf(r.unit, name))
	}
	return map[string]any{"results": out}, nil
}

// networkOf renders addresses grouped by interface. All of them are ingress
// addresses and each is its own egress subnet, which is what Juju answers without
// fan networks or an egress-subnets model option.
func networkOf(addresses []Address) any {
	type hostAddress struct {
		Hostname string `json:"hostname"`
		Value    string `json:"value"`
		CIDR     string `json:"cidr"`
	}
	type device struct {
		MAC       string        `json:"mac-address"`
		Name      string        `json:"interface-name"`
		Addresses []hostAddress `json:"addresses"`
	}
	var devices []*device
	var ingress, egress []string
	for _, a := range addresses {
		i := slices.IndexFunc(devices, func(d *device) bool { return d.Name == a.Interface })
		if i < 0 {
			devices = append(devices, &device{MAC: a.MAC, Name: a.Interface})
			i = len(devices) - 1
		}
		devices[i].Addresses = append(devices[i].Addresses, hostAddress{Value: a.Value, CIDR: a.CIDR})
		ingress = append(ingress, a.Value)
	}
	if len(ingress) > 0 {
		egress = []string{hostSubnet(ingress[0])}
	}
	return map[string]any{"bind-addresses": devices, "ingress-addresses": ingress, "egress-subnets": egress}
}

func privateAddress(r *call) (any, error) {
	return r.eachUnit(func(u *unit) (any, error) {
		addr := r.c.firstAddress(u, "")
		if addr == "" {
			return nil, &apiError{Message: fmt.Sprintf("unit %q has no private address", u.name), Code: codeNoAddress}
		}
		return map[string]any{"result": addr}, nil
	})
}
