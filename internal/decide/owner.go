package decide

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// What the machine's owner sets in global_defs, or for all interfaces, reaches the
// charm's instances. What an instance can say of itself the fragment says; what it
// cannot, in every keepalived from 2.2.4 on, and what breaks an instance is here. The
// rest of keepalived.conf(5) harms none: it is about mail, SNMP, D-Bus, scripts, other
// kinds of instances, names, or how much of the machine keepalived gets.

// Intrusion is a setting of the machine's owner that breaks virtual IPs.
type Intrusion struct{ File, Setting, Effect string }

// slowest is how long gratuitous ARP may be put off, in seconds for each message. At a
// move there are five for each address.
const slowest = 0.1

// mostDelay is how many advertisement intervals an interface may be down unnoticed: less
// (keepalived.conf(5), interface_up_down_delays).
const mostDelay = 2

// longestStartup is the longest startup_script_timeout that keepalived takes, in seconds.
const longestStartup = 1000

// effect tells what a setting does to an instance; empty for nothing.
func (d placement) effect(s keepalived.Setting) string {
	value, run := "", d.Routers[0].Run
	if len(s.Words) > 1 {
		value = s.Words[1]
	}
	unknown := keepalived.Unknown(value)
	switch s.Words[0] {
	case "include":
		if keepalived.Match(value, d.Layout.Fragment()) {
			return "reads the charm's own files once more, by " + value
		}
	case "net_namespace":
		return "puts the virtual IPs into another network namespace"
	case "vrrp_mcast_group4", "vrrp_mcast_group6":
		// 224.0.0.18 and ff02::12 (RFC 5798 section 5.1.1.2, 5.1.2.2)
		group, usual := "vrrp_mcast_group4", netip.AddrFrom4([4]byte{224, 0, 0, 18})
		if run.Anchor.Is6() {
			group, usual = "vrrp_mcast_group6", netip.AddrFrom16([16]byte{0xff, 2, 15: 0x12})
		}
		switch {
		case run.Mode != vrrp.Multicast || s.Words[0] != group:
		case unknown:
			return hidden(value)
		case s.Address.IsValid() && s.Address != usual:
			return "sends advertisements where other units do not listen"
		}
	case "v3_checksum_as_v2":
		switch {
		case run.Version != 3 || run.Anchor.Is6():
		case unknown:
			return hidden(value)
		case !slices.Contains([]string{"off", "false", "no"}, value):
			return "makes advertisements that other units drop"
		}
	case "interface_up_down_delays":
		ours := slices.ContainsFunc(d.Addresses(), func(a netip.Addr) bool {
			return slices.Contains(s.On, d.chosenFor[a]) || slices.ContainsFunc(s.On, keepalived.Unknown)
		})
		switch {
		case !ours || value == "":
		case unknown:
			return hidden(value)
		case s.Number >= mostDelay*run.Interval.Seconds():
			return "keeps virtual IPs for two advertisement intervals or more where the link is down"
		}
	case "reload_check_config":
		return "makes keepalived end or ignore changes when it reloads"
	case "json_file_location":
		return "hides keepalived's state from the charm"
	case "vrrp_garp_interval", "vrrp_gna_interval", "garp_interval", "gna_interval":
		six := strings.HasSuffix(s.Words[0], "gna_interval") // neighbour advertisements
		told := slices.ContainsFunc(d.Addresses(), func(a netip.Addr) bool {
			return a.Is6() == six && (s.On == nil || slices.Contains(s.On, d.chosenFor[a]) || slices.ContainsFunc(s.On, keepalived.Unknown))
		})
		switch {
		case !told:
		case unknown:
			return hidden(value)
		case s.Number > slowest: // seconds
			return "delays telling the network that virtual IPs moved"
		}
	}
	return ""
}

// hidden is the effect of a value that this charm cannot read, as what it refers to depends on a
// condition: it may be harmful.
func hidden(value string) string {
	return "has a value that the charm cannot know, " + value
}

// Startup is how long a script of the machine's owner may take, before which keepalived does
// not start (keepalived.conf(5), startup_script).
func Startup(m facts.Machine) time.Duration {
	runs, timeout := false, 0
	for _, other := range m.Others {
		for _, s := range other.Settings {
			runs = runs || s.Words[0] == "startup_script"
			if s.Words[0] == "startup_script_timeout" && len(s.Words) > 1 {
				if s.Number <= longestStartup {
					timeout = max(timeout, int(s.Number))
				} else if keepalived.Unknown(s.Words[1]) {
					timeout = longestStartup
				}
			}
		}
	}
	if !runs {
		return 0
	}
	return time.Duration(cmp.Or(timeout, 10)) * time.Second
}

// intrusions lists what breaks this unit's instances.
func (d placement) intrusions(m facts.Machine) []Intrusion {
	var list []Intrusion
	for _, other := range m.Others {
		for _, s := range other.Settings {
			if e := d.effect(s); e != "" {
				list = append(list, Intrusion{other.File, s.Words[0], e})
			}
		}
	}
	return list
}

// refuseIntrusion keeps a unit that has not begun from serving where a setting of the
// machine's owner would break its virtual IPs. One that serves goes on and says so.
func (d *placement) refuseIntrusion(o facts.Observed) error {
	d.Intruded = d.intrusions(o.Machine)
	if o.Machine.Applied.Ours() || len(d.Intruded) == 0 {
		return nil // what is wrong is told in words of its own
	}
	return d.weigh(Claim{Refusal: &status.Blocked{Message: d.Intruded[0].Say(status.OwnerSets)}})
}

func (i Intrusion) Say(c status.Condition) string {
	return status.Say(c, "FILE", i.File, "SETTING", i.Setting, "EFFECT", i.Effect).Message
}

// Dropped lists the virtual IPs whose packets keepalived's packet filter drops. The
// charm's instances drop nothing, so an instance of before left them there.
func (d self) Dropped(m facts.Machine) []netip.Addr {
	return slices.DeleteFunc(d.Addresses(), func(a netip.Addr) bool { return !slices.Contains(m.Filtered, a) })
}
