package charmtest

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// deadAfter is how long a virtual IP must be silent, in seconds, until a unit
// that stands aside for it takes part again (internal/checker).
const deadAfter = 2

// voice is what one of a unit's VRRP instances sends.
type voice struct {
	node *Node
	name string
	// iface is where it speaks and listens.
	iface string
	vrrp.Parameters
	priority  int
	unicast   []netip.Addr
	addresses []netip.Addr
	master    bool
	// since is when it became or ceased to be MASTER.
	since float64
	// silent tells that it takes no part: the instance is in the FAULT state.
	silent bool
}

// listen reads what the daemon has loaded. A new instance starts as BACKUP.
func (n *Node) listen() {
	before := n.voices
	n.voices = nil
	if !n.Up || !n.Host.Keepalived.Running {
		return
	}
	config := n.config()
	written := checkerConfig(n.Host.Files[n.Layout().CheckerConfig()])
	for _, i := range instances(n.Host.Keepalived.Loaded) {
		p, ok := keepalived.ReadParameters(n.Host.Keepalived.Loaded, i.name)
		if !ok {
			continue
		}
		p.Spread = false // nothing in an advertisement tells
		v := &voice{node: n, name: i.name, iface: i.iface, Parameters: p, unicast: i.peers, silent: n.silent(config, i.name)}
		if !has(config, i.name, func(healthcheck.Instance) bool { return true }) {
			// The hook or, at a boot, systemd makes its track file, which the checker does not
			// know yet.
			_, prepares := n.Host.Units[n.Layout().DropIn()]
			v.silent = prepares && has(written, i.name, func(i healthcheck.Instance) bool { return i.Aside != "" })
		}
		for _, a := range i.addresses {
			v.addresses = append(v.addresses, a.Addr())
		}
		for _, was := range before {
			if was.name == i.name && !has(config, i.name, func(healthcheck.Instance) bool { return true }) {
				v.silent = was.silent // its track file stays as it is
			}
			if was.name == i.name && was.iface == i.iface && p.Understands(was.Parameters) {
				v.master, v.since = was.master && !v.silent, was.since
			}
		}
		v.priority = i.priority + max(0, config.Policy.Adjustment(!n.Sick, v.master))
		n.voices = append(n.voices, v)
	}
}

// config is what the unit's health checker goes by.
func (n *Node) config() healthcheck.Config { return checkerConfig(n.checker().Config) }

// silent tells that the health checker keeps an instance out.
func (n *Node) silent(config healthcheck.Config, instance string) bool {
	starts := n.checker().Starts
	if n.Sick && config.Policy.DropAllUnhealthy {
		return true
	}
	aside := has(config, instance, func(i healthcheck.Instance) bool { return i.Aside != "" })
	return starts != n.again[instance] && (aside || starts == n.unconfirmed)
}

// has tells whether a configuration has an instance of that name and kind.
func has(c healthcheck.Config, name string, kind func(healthcheck.Instance) bool) bool {
	return slices.ContainsFunc(c.Instances, func(i healthcheck.Instance) bool { return i.Name == name && kind(i) })
}

// hears tells whether a gets the advertisements of b.
func (c *Cluster) hears(a, b *voice) bool {
	return a.node != b.node && a.iface == b.iface && !c.cut[pair(a.node, b.node)] && !b.silent && a.Understands(b.Parameters) &&
		(b.Mode == vrrp.Multicast && !c.Filtered || b.Mode == vrrp.Unicast && slices.Contains(b.unicast, a.node.address()))
}

// voices returns those of all units.
func (c *Cluster) voices() []*voice {
	var all []*voice
	for _, n := range c.Nodes {
		all = append(all, n.voices...)
	}
	return all
}

// elect lets the daemons elect. It remembers what nobody answered at in between.
func (c *Cluster) elect() {
	before := c.served
	for _, n := range c.Nodes {
		n.away = n.away || !n.Agent
		n.listen()
	}
	c.yield()
	for _, v := range c.vips() {
		if before[v] && len(c.Holders(v)) == 0 {
			c.Gaps++
			c.GapsAt[v]++
		}
	}
	for best := c.next(); best != nil; best = c.next() {
		best.master, best.since = true, c.now
		best.node.listen()
		c.yield()
	}
	for _, n := range c.Nodes {
		n.Host.Roles, n.Host.Check.Heard = map[string]Role{}, nil
		for _, v := range n.voices {
			r := Role{Holds: v.master, Since: v.since}
			for _, other := range c.voices() {
				if other.master && c.hears(v, other) {
					r.Heard = vrrp.Priority(other.priority)
					n.Host.Check.Heard = append(n.Host.Check.Heard, facts.Heard{Instance: v.name, Address: other.node.address(), Priority: r.Heard, Speaks: true})
				}
			}
			n.Host.Roles[v.name] = r
		}
	}
	c.served = map[netip.Addr]bool{}
	note := func(list []netip.Addr) {
		for _, a := range list {
			c.served[a], c.heard[a] = true, c.now
		}
	}
	for _, n := range c.Nodes {
		note(n.Host.Pinned)
		for _, v := range n.voices {
			if v.master {
				note(v.addresses)
			}
		}
	}
}

// yield ends the reign of those that hear a better holder.
func (c *Cluster) yield() {
	all := c.voices()
	for _, v := range all {
		if v.master && slices.ContainsFunc(all, func(other *voice) bool {
			return other.master && c.hears(v, other) && other.beats(v)
		}) {
			v.master, v.since = false, c.now
		}
	}
}

// next returns the best instance that hears no holder, or only one that it beats; nil
// for none.
func (c *Cluster) next() *voice {
	var best *voice
	all := c.voices()
	for _, v := range all {
		if v.master || v.silent || slices.ContainsFunc(all, func(other *voice) bool {
			return other.master && c.hears(v, other) && !v.beats(other)
		}) {
			continue
		}
		if best == nil || v.beats(best) {
			best = v
		}
	}
	return best
}

// beats tells who wins an election (RFC 9568 section 6.4.3).
func (v *voice) beats(other *voice) bool {
	if v.priority != other.priority {
		return v.priority > other.priority
	}
	return other.node.address().Less(v.node.address())
}

// vips are the virtual IPs that the option names, and those that are asked for.
func (c *Cluster) vips() []netip.Addr {
	list := c.asked()
	for _, word := range listed(c.Options["virtual_ip"]) {
		if a, err := netip.ParseAddr(word); err == nil {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// Holders returns the units whose machines answer at a virtual IP.
func (c *Cluster) Holders(vip netip.Addr) []*Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n *Node) bool {
		return !n.Up || !slices.Contains(n.Host.Pinned, vip) && !slices.ContainsFunc(n.voices, func(v *voice) bool {
			return v.master && slices.Contains(v.addresses, vip)
		})
	})
}

// Serving returns the units whose machines answer at any virtual IP.
func (c *Cluster) Serving() []*Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n *Node) bool {
		return !n.Up || len(n.Host.Pinned) == 0 && !slices.ContainsFunc(n.voices, func(v *voice) bool { return v.master })
	})
}

// Pass lets time pass. Instances that stand aside take part again when nobody has
// answered at any of their virtual IPs for long enough.
func (c *Cluster) Pass(seconds float64) {
	c.now += seconds
	c.elect()
	for _, n := range c.Nodes {
		for _, i := range n.config().Instances {
			watched, err := netip.ParseAddrPort(i.Watch)
			lives := func(a netip.Addr) bool { return c.served[a] || c.now-c.heard[a] < deadAfter }
			if err == nil && !lives(watched.Addr()) && !slices.ContainsFunc(i.Addresses[1:], lives) {
				n.again[i.Name] = n.checker().Starts
			}
		}
	}
	c.elect()
}
