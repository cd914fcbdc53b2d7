package charmtest

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// deadAfter is how long the virtual IPs must be silent, in seconds, until a unit
// that stands aside takes part again (internal/checker).
const deadAfter = 2

// voice is what a unit's VRRP instance sends.
type voice struct {
	vrrp.Parameters
	priority int
	unicast  []netip.Addr
}

// listen reads what the daemon has loaded. A new instance starts as BACKUP.
func (n *Node) listen() {
	l := n.Layout()
	p, ok := keepalived.ReadParameters(n.Host.Keepalived.Loaded, l.Instance())
	if !n.Up || !n.Host.Keepalived.Running || !ok {
		n.vrrp, n.master = voice{}, false
		return
	}
	if !p.Understands(n.vrrp.Parameters) {
		n.master = false
	}
	n.vrrp = voice{Parameters: p}
	for _, i := range instances(n.Host.Keepalived.Loaded) {
		n.vrrp.priority, n.vrrp.unicast = i.priority, i.peers
	}
	policy := n.config().Policy
	n.vrrp.priority += max(0, policy.Adjustment(!n.Sick, n.master))
	if n.silent() {
		n.master = false
	}
}

// config is what the unit's health checker goes by.
func (n *Node) config() healthcheck.Config {
	c, _ := healthcheck.Parse([]byte(n.checker().Config)) // no checker: nothing to go by
	return c
}

// silent tells that the unit takes no part: its instance is in the FAULT state.
func (n *Node) silent() bool {
	c, config := n.checker(), n.config()
	return n.vrrp.Version == 0 || n.Sick && config.Policy.DropAllUnhealthy ||
		c.Starts != n.again && (len(config.Instances) > 0 && config.Aside() != "" || c.Starts == n.unconfirmed)
}

// hears tells whether a gets the advertisements of b.
func (c *Cluster) hears(a, b *Node) bool {
	return a != b && !c.cut[pair(a, b)] && !b.silent() && a.vrrp.Understands(b.vrrp.Parameters) &&
		(b.vrrp.Mode == vrrp.Multicast && !c.Filtered || b.vrrp.Mode == vrrp.Unicast && slices.Contains(b.vrrp.unicast, a.address()))
}

// elect lets the daemons elect. It remembers when nobody was left in between.
func (c *Cluster) elect() {
	before := c.served
	for _, n := range c.Nodes {
		n.listen()
	}
	c.yield()
	if before && len(c.Serving()) == 0 {
		c.Gaps++
	}
	for best := c.next(); best != nil; best = c.next() {
		best.master, best.Host.Since = true, c.now
		best.listen()
		c.yield()
	}
	for _, n := range c.Nodes {
		n.Host.Holds = n.master
	}
	if c.served = len(c.Serving()) > 0; c.served {
		c.silence = c.now
	}
}

// yield ends the reign of those that hear a better holder.
func (c *Cluster) yield() {
	for _, n := range c.Nodes {
		n.master = n.master && !slices.ContainsFunc(c.Nodes, func(other *Node) bool {
			return other.master && c.hears(n, other) && other.beats(n)
		})
	}
}

// next returns the best unit that hears no holder, or only one that it beats; nil
// for none.
func (c *Cluster) next() *Node {
	var best *Node
	for _, n := range c.Nodes {
		if n.master || n.silent() || slices.ContainsFunc(c.Nodes, func(other *Node) bool {
			return other.master && c.hears(n, other) && !n.beats(other)
		}) {
			continue
		}
		if best == nil || n.beats(best) {
			best = n
		}
	}
	return best
}

// beats tells who wins an election (RFC 9568 section 6.4.3).
func (n *Node) beats(other *Node) bool {
	if n.vrrp.priority != other.vrrp.priority {
		return n.vrrp.priority > other.vrrp.priority
	}
	return other.address().Less(n.address())
}

// Serving returns the units whose machines answer at the virtual IPs.
func (c *Cluster) Serving() []*Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n *Node) bool { return !n.Up || !n.master && len(n.Host.Pinned) == 0 })
}

// Pass lets time pass. Units that stand aside take part again when nobody has
// answered at the virtual IPs for long enough.
func (c *Cluster) Pass(seconds float64) {
	c.now += seconds
	c.elect()
	if c.served || c.now-c.silence < deadAfter {
		return
	}
	for _, n := range c.Nodes {
		n.again = n.checker().Starts
	}
	c.elect()
}
