package hacluster

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/vrrp"
)

// VirtualIP is one virtual IP.
type VirtualIP struct {
	// Prefix has the prefix length that was asked for, else that of a single address.
	netip.Prefix
	// Sized tells that it was.
	Sized bool
	// Interface is the network interface that it is to be on; empty: the one that has its subnet.
	Interface string
}

// String is the virtual IP as option virtual_ip has it: ADDRESS%INTERFACE/LENGTH, with what was
// asked for.
func (v VirtualIP) String() string {
	text := v.Addr().String()
	if v.Interface != "" {
		text += "%" + v.Interface
	}
	if v.Sized {
		text += "/" + strconv.Itoa(v.Bits())
	}
	return text
}

// primitive reads the parameters of a virtual IP. How often pacemaker is to look after it,
// and what it does when that fails, means nothing to VRRP.
func (k content) primitive(name, agent string) (v VirtualIP, err error) {
	words, ok := split(k.params[name])
	if !ok {
		return v, refuse("%s has parameters with a quote that does not end", show(name))
	}
	params := parameters(words)
	text := params[addressAgents[agent]]
	address, length, sized := strings.Cut(text, "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return v, refuse("%s has no address: %s is %s", show(name), addressAgents[agent], show(text))
	}
	if mask, given := params["cidr_netmask"]; given && mask != "" {
		length, sized = mask, true
	}
	v.Prefix = netip.PrefixFrom(a, a.BitLen())
	if sized {
		n, ok := prefixLength(length, a)
		if !ok {
			return v, refuse("%s has no netmask: cidr_netmask is %s", show(name), show(length))
		}
		v.Prefix, v.Sized = netip.PrefixFrom(a, n), true
	}
	if v.Interface = params["nic"]; v.Interface != "" && !vrrp.IsInterface(v.Interface) {
		return v, refuse("%s has no interface: nic is %s", show(name), show(v.Interface))
	}
	return v, nil
}

// prefixLength reads 24 or, for IPv4, 255.255.255.0.
func prefixLength(s string, of netip.Addr) (int, bool) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return int(n), n > 0 && int(n) <= of.BitLen()
	}
	mask, err := netip.ParseAddr(s)
	if err != nil || !mask.Is4() || !of.Is4() {
		return 0, false
	}
	b := mask.As4()
	ones := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n := bits.LeadingZeros32(^ones)
	return n, n > 0 && ones<<n == 0
}

// parameters are the items of the section params, which is also what stands before any
// section (crmsh, primitive).
func parameters(words []string) map[string]string {
	params, section := map[string]string{}, "params"
	for _, w := range words {
		name, value, item := strings.Cut(w, "=")
		switch {
		case item && section == "params":
			params[name] = value
		case item:
		case w == "params" || w == "meta" || w == "op" || w == "utilization" || w == "operations":
			section = w
		}
	}
	return params
}

// split parts a text into words as a shell does, which runs nothing of it; false for a quote
// that does not end.
func split(s string) ([]string, bool) {
	var words []string
	var word strings.Builder
	inside, quote, escaped := false, rune(0), false
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			inside, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			inside, quote = true, c
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			inside = true
			word.WriteRune(c)
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words, quote == 0 && !escaped
}

// serviceOf is the systemd unit of an agent that runs a service; false for another agent.
// An init script has a unit of its name (systemd-sysv-generator(8)).
func serviceOf(agent string) (string, bool) {
	class, name, _ := strings.Cut(agent, ":")
	if class != "systemd" && class != "lsb" {
		return "", false
	}
	if class == "lsb" || !(healthcheck.Check{Target: name}).ValidUnit() {
		name += ".service"
	}
	return name, (healthcheck.Check{Target: name}).ValidUnit()
}
