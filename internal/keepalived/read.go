package keepalived

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/internal/vrrp"
)

// parametersMark starts the line of a fragment that names an instance's
// parameters; fragment.conf.tmpl writes it.
const parametersMark = "# parameters "

// ReadParameters returns the parameters of the named instance in a fragment that
// the charm wrote.
func ReadParameters(fragment, instance string) (vrrp.Parameters, bool) {
	for line := range strings.Lines(fragment) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), parametersMark+instance+": "); ok {
			return vrrp.ParseParameters(rest)
		}
	}
	return vrrp.Parameters{}, false
}

// IsPython tells the Python charm's keepalived.conf.
func IsPython(text string) bool {
	return strings.Contains(text, "vrrp_script chk_svc_port") && strings.Contains(text, "vrrp_instance VI_1")
}

// ReadPython returns the parameters of the Python charm's keepalived.conf: an interval
// of one second, the virtual IP advertised. The file names no version: keepalived takes
// 2, and 3 for an instance whose first address is IPv6, which version 2 does not know.
func ReadPython(text string) (vrrp.Parameters, bool) {
	addresses := VirtualAddresses(text)
	if !IsPython(text) || len(addresses) == 0 {
		return vrrp.Parameters{}, false
	}
	p := vrrp.Parameters{Version: 2, Mode: vrrp.Multicast, Interval: time.Second, Anchor: addresses[0]}
	if p.Anchor.Is6() {
		p.Version = 3
	}
	words := strings.Fields(text)
	for i, w := range words[:len(words)-1] {
		if w == "virtual_router_id" {
			id, err := strconv.Atoi(words[i+1])
			if err != nil {
				return vrrp.Parameters{}, false
			}
			if p.VirtualRouterID, err = vrrp.NewVirtualRouterID(id); err != nil {
				return vrrp.Parameters{}, false
			}
			return p, p.Anchor != (netip.Addr{})
		}
	}
	return vrrp.Parameters{}, false
}
