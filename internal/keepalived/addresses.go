package keepalived

import (
	"net/netip"
	"strings"
)

// VirtualAddresses lists the addresses in the virtual_ipaddress and
// virtual_ipaddress_excluded blocks of a configuration, ours or anybody's. It
// never fails: what it cannot read is not in the list.
func VirtualAddresses(text string) []netip.Addr {
	var list []netip.Addr
	inside := false
	braces := strings.NewReplacer("{", " { ", "}", " } ")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, "!")
		for _, word := range strings.Fields(braces.Replace(line)) {
			switch word {
			case "virtual_ipaddress", "virtual_ipaddress_excluded":
				inside = true
			case "}":
				inside = false
			default:
				if !inside {
					continue
				}
				word, _, _ = strings.Cut(word, "/")
				if a, err := netip.ParseAddr(word); err == nil {
					list = append(list, a)
				}
			}
		}
	}
	return list
}
